#include "server/random_id.h"

#include <random>
#include <string_view>

namespace kvasir::server {

std::string random_id() {
  static constexpr std::string_view kLetters = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  thread_local std::mt19937_64 generator{std::random_device{}()};
  std::uniform_int_distribution<std::size_t> pick(0, kLetters.size() - 1);
  std::string id;
  for (int i = 0; i < 24; ++i) id += kLetters[pick(generator)];
  return id;
}

}  // namespace kvasir::server
