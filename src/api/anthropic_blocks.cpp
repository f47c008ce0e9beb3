#include "api/anthropic_blocks.h"

#include <array>

namespace kvasir::api {
namespace {

namespace json = boost::json;

// Where blocks have their text, in the order in which it is shown. `source` is a place where it is a string.
constexpr std::array<std::string_view, 11> kTextKeys = {
    "title",  "source", "url",        "context", "tool_name",      "text",
    "stdout", "stderr", "error_code", "content", "tool_references"};

// What a value says: a string, an object, or a list of them.
std::string value_text(const json::value& value, const std::string& path, std::string_view between) {
  if (value.is_string()) return to_string(value);
  if (value.is_object()) return block_text(Fields(value, path));
  std::string text;
  if (!value.is_array()) return text;
  const json::array& list = value.get_array();
  for (std::size_t i = 0; i < list.size(); ++i)
    text = joined(std::move(text), between, value_text(list[i], element_path(path, i), between));
  return text;
}

std::string omitted(const std::string& what) {
  return "[" + what + " omitted: this model reads text only]";
}

std::string document_text(const Fields& block) {
  std::string text = block.string("title").value_or("");
  text = joined(std::move(text), "\n", block.string("context").value_or(""));
  const std::optional<Fields> source = block.fields("source");
  const std::string type = source ? source->string("type").value_or("") : "";
  if (type == "text") return joined(std::move(text), "\n", source->string("data").value_or(""));
  if (type == "content") return joined(std::move(text), "\n", content_text(*source, "content", "\n"));
  std::string what = "document";
  for (const char* key : {"url", "file_id", "media_type"}) {
    if (const auto name = source ? source->string(key) : std::nullopt) what += " " + *name;
  }
  return joined(std::move(text), "\n", omitted(what));
}

// A call of a tool that ran on the other side. Its result is a block of its own.
std::string remote_call_text(const Fields& block) {
  const json::object* input = block.object("input");
  return "[" + block.string("name").value_or("tool") + " " +
         (input != nullptr ? json::serialize(*input) : "{}") + "]";
}

}  // namespace

std::string joined(std::string first, std::string_view between, const std::string& second) {
  if (first.empty() || second.empty()) return first + second;
  return first.append(between) + second;
}

std::string content_text(const Fields& owner, std::string_view key, std::string_view between) {
  const json::value* content = owner.find(key);
  if (content == nullptr) return {};
  const std::string path = owner.path_of(key);
  if (content->is_string()) return to_string(*content);
  if (!content->is_array()) field_error(path, "must be a string or a list of blocks");
  std::string text;
  const json::array& blocks = content->get_array();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Fields block(blocks[i], element_path(path, i));
    (void)block.required_string("type");
    text = joined(std::move(text), between, block_text(block));
  }
  return text;
}

std::string block_text(const Fields& block) {
  const std::string type = block.string("type").value_or("");
  if (type == "text") return block.required_string("text");
  if (type == "image") return omitted("image");
  if (type == "document") return document_text(block);
  if (type == "server_tool_use" || type == "mcp_tool_use") return remote_call_text(block);
  std::string text;
  for (const std::string_view key : kTextKeys) {
    const json::value* value = block.find(key);
    if (value == nullptr || (key == "source" && !value->is_string())) continue;
    text = joined(std::move(text), "\n", value_text(*value, block.path_of(key), "\n"));
  }
  return text;
}

void refuse_image(const Fields& block) {
  field_error(block.path(),
              "could not process image: this model reads text only. Leave the image out, or describe it in "
              "words");
}

}  // namespace kvasir::api
