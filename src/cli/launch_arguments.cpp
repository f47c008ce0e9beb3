#include "cli/launch_arguments.h"

#include <CLI/CLI.hpp>

namespace kvasir::cli {
namespace {

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

enum class ShortOptions { kModelOnly, kAll };

// How many words from the front are the server's: options that it knows, each with its value.
std::size_t server_words(const CLI::App& serve, std::span<const std::string> words, ShortOptions shorts) {
  std::size_t i = 0;
  while (i < words.size()) {
    const std::string& word = words[i];
    if (word.size() < 2 || word[0] != '-' || word == "--" || word == "-h" || word == "--help") break;
    const bool is_long = word[1] == '-';
    const std::size_t equals = is_long ? word.find('=') : std::string::npos;
    const std::string name = is_long ? word.substr(0, equals) : word.substr(0, 2);
    if (!is_long && shorts == ShortOptions::kModelOnly && name != "-m") break;
    const CLI::Option* option = serve.get_option_no_throw(name);
    if (option == nullptr) break;
    const bool joined = equals != std::string::npos || (!is_long && word.size() > 2);
    const bool takes_value = option->get_items_expected_min() > 0 && !joined;
    // What follows Claude Code's -p is a question, seldom a number.
    if (!is_long && name != "-m" && !(takes_value && i + 1 < words.size() && is_number(words[i + 1]))) break;
    if (takes_value && i + 1 == words.size()) return words.size();  // told by the server's own parser
    i += takes_value ? 2 : 1;
  }
  return i;
}

}  // namespace

LaunchArguments split_arguments(const CLI::App& serve, std::span<const std::string> words) {
  std::size_t end = server_words(serve, words, ShortOptions::kAll);
  const bool ended = end < words.size() && words[end] == "--";
  if (!ended) end = server_words(serve, words, ShortOptions::kModelOnly);
  const std::size_t client = end + (end < words.size() && words[end] == "--" ? 1 : 0);
  const auto at = [&](std::size_t n) { return words.begin() + static_cast<std::ptrdiff_t>(n); };
  return {{words.begin(), at(end)}, {at(client), words.end()}};
}

}  // namespace kvasir::cli
