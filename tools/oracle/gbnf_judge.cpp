// llama.cpp's own matcher as a judge of GBNF. Reads a grammar from a file; writes, for texts that a seeded
// walk through the grammar and small damage to them make, one line each: 1 or 0 (a whole text of the grammar
// or not), and the text in hexadecimal. Built by make_gbnf_golden.py against llama.cpp's sources and library.

#include <cctype>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "llama-grammar.h"

namespace {

using Text = std::vector<std::uint32_t>;
using Grammar = std::unique_ptr<llama_grammar, void (*)(llama_grammar*)>;

Grammar copy(const llama_grammar& grammar) {
  return {llama_grammar_clone_impl(grammar), llama_grammar_free_impl};
}

bool dead(llama_grammar& grammar) {
  return llama_grammar_get_stacks(&grammar).empty();
}

bool whole(llama_grammar& grammar) {
  for (const auto& stack : llama_grammar_get_stacks(&grammar)) {
    if (stack.empty()) return true;
  }
  return false;
}

bool admits(const llama_grammar& pristine, const Text& text) {
  const Grammar grammar = copy(pristine);
  for (const std::uint32_t c : text) {
    llama_grammar_accept(grammar.get(), c);
    if (dead(*grammar)) return false;
  }
  return whole(*grammar);
}

std::string utf8(const Text& text) {
  std::string out;
  for (const std::uint32_t c : text) {
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (c < 0x800) {
      out += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
    } else if (c < 0x10000) {
      out += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
              static_cast<char>(0x80 | (c & 0x3F))};
    } else {
      out += {static_cast<char>(0xF0 | c >> 18), static_cast<char>(0x80 | (c >> 12 & 0x3F)),
              static_cast<char>(0x80 | (c >> 6 & 0x3F)), static_cast<char>(0x80 | (c & 0x3F))};
    }
  }
  return out;
}

std::vector<std::uint32_t> alphabet() {
  std::vector<std::uint32_t> all{'\t', '\n', '\r', 0xE9, 0x3042, 0x30A2, 0x6F22, 0x1F600};
  for (std::uint32_t c = 0x20; c < 0x7F; ++c) all.push_back(c);
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::ifstream in(argv[1]);
  std::stringstream source;
  source << in.rdbuf();
  llama_grammar* made =
      llama_grammar_init_impl(nullptr, source.str().c_str(), "root", false, nullptr, 0, nullptr, 0);
  if (made == nullptr) return 1;
  const Grammar pristine(made, llama_grammar_free_impl);
  std::mt19937 random(1);
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::vector<std::uint32_t> letters = alphabet();
  std::set<Text> texts{{}};
  const std::size_t walks = std::stoul(argv[2]);
  for (std::size_t walk = 0; walk < walks; ++walk) {
    const Grammar grammar = copy(*pristine);
    const std::size_t longest = 1 + below(60);
    Text text;
    while (text.size() < longest) {
      if (whole(*grammar)) texts.insert(text);
      std::vector<std::uint32_t> next;
      for (const std::uint32_t c : letters) {
        const Grammar trial = copy(*grammar);
        llama_grammar_accept(trial.get(), c);
        if (!dead(*trial)) next.push_back(c);
      }
      if (next.empty()) break;
      // Half of the time a mark that the grammar's own text has: brackets would seldom close otherwise.
      std::vector<std::uint32_t> marks;
      for (const std::uint32_t c : next) {
        const bool word = c >= 0x80 || std::isalnum(static_cast<int>(c)) != 0;
        if (!word && source.str().find(static_cast<char>(c)) != std::string::npos) marks.push_back(c);
      }
      if (!marks.empty() && below(2) == 0) next = marks;
      text.push_back(next[below(next.size())]);
      llama_grammar_accept(grammar.get(), text.back());
    }
    texts.insert(text);
    for (int i = 0; i < 3 && !text.empty(); ++i) {
      Text damaged = text;
      const std::size_t at = below(text.size());
      const auto place = damaged.begin() + static_cast<std::ptrdiff_t>(at);
      const std::size_t kind = below(3);
      if (kind == 0) {
        damaged.erase(place);
      } else if (kind == 1) {
        damaged.insert(place, letters[below(letters.size())]);
      } else {
        damaged.resize(at);
      }
      texts.insert(damaged);
    }
  }
  for (const Text& text : texts) {
    std::string hex;
    for (const char c : utf8(text)) {
      char digits[3];
      std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      hex += digits;
    }
    std::printf("%d %s\n", admits(*pristine, text) ? 1 : 0, hex.c_str());
  }
}
