#include "api/custom_input.h"

#include <boost/json/basic_parser_impl.hpp>

#include "api/openai_tools.h"

namespace kvasir::api {
namespace {

using Failure = boost::system::error_code;
using Text = boost::json::string_view;

// What Boost's parser calls; only the one text is of interest.
struct Handler {
  static constexpr std::size_t max_object_size = -1;
  static constexpr std::size_t max_array_size = -1;
  static constexpr std::size_t max_key_size = -1;
  static constexpr std::size_t max_string_size = -1;

  std::string key;
  std::string text;
  int depth = 0;
  bool wanted = false;

  bool on_document_begin(Failure&) { return true; }
  bool on_document_end(Failure&) { return true; }
  bool on_object_begin(Failure&) { return ++depth > 0; }
  bool on_object_end(std::size_t, Failure&) { return --depth >= 0; }
  bool on_array_begin(Failure&) { return ++depth > 0; }
  bool on_array_end(std::size_t, Failure&) { return --depth >= 0; }
  bool on_key_part(Text part, std::size_t, Failure&) {
    key += part;
    return true;
  }
  bool on_key(Text part, std::size_t, Failure&) {
    key += part;
    wanted = depth == 1 && key == kCustomInput;
    key.clear();
    return true;
  }
  bool on_string_part(Text part, std::size_t, Failure&) {
    if (wanted && depth == 1) text += part;
    return true;
  }
  bool on_string(Text part, std::size_t size, Failure& failure) {
    return on_string_part(part, size, failure);
  }
  bool on_number_part(Text, Failure&) { return true; }
  bool on_int64(std::int64_t, Text, Failure&) { return true; }
  bool on_uint64(std::uint64_t, Text, Failure&) { return true; }
  bool on_double(double, Text, Failure&) { return true; }
  bool on_bool(bool, Failure&) { return true; }
  bool on_null(Failure&) { return true; }
  bool on_comment_part(Text, Failure&) { return true; }
  bool on_comment(Text, Failure&) { return true; }
};

}  // namespace

struct CustomInput::Reader {
  boost::json::basic_parser<Handler> parser{boost::json::parse_options()};
};

CustomInput::CustomInput() : reader_(std::make_unique<Reader>()) {}
CustomInput::~CustomInput() = default;
CustomInput::CustomInput(CustomInput&&) noexcept = default;
CustomInput& CustomInput::operator=(CustomInput&&) noexcept = default;

std::string CustomInput::feed(std::string_view fragment) {
  Failure failure;
  // What the grammar admits is JSON; of anything else, what could be read stays.
  reader_->parser.write_some(true, fragment.data(), fragment.size(), failure);
  return std::exchange(reader_->parser.handler().text, {});
}

}  // namespace kvasir::api
