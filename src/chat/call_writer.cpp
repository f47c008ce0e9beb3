#include "chat/call_writer.h"

#include <utility>

#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

// Python's repr().
std::string python_string(std::string_view text) {
  const bool apostrophe = text.find('\'') != std::string_view::npos;
  const char quote = apostrophe && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      if (c == '\\' || c == quote) out += '\\';
      out += c;
    }
  }
  return out + quote;
}

class LiteralWriter {
 public:
  explicit LiteralWriter(const LiteralStyle& style) : style_(style) {}

  std::string value(const json::value& value) const {
    if (value.is_string()) {
      const std::string_view text = value.get_string();
      return style_.quote.empty() ? python_string(text) : style_.quote + std::string(text) + style_.quote;
    }
    if (value.is_array()) {
      std::string out = "[";
      for (const json::value& item : value.get_array()) {
        if (out.size() > 1) out += style_.separator;
        out += this->value(item);
      }
      return out + "]";
    }
    if (value.is_object()) {
      // Python's templates write what is nested as JSON.
      if (style_.quote.empty()) return spaced_json(value);
      std::string out = "{";
      for (const auto& field : value.get_object()) {
        if (out.size() > 1) out += style_.separator;
        out += key(field.key()) + ":" + this->value(field.value());
      }
      return out + "}";
    }
    if (style_.python_words && value.is_bool()) return value.get_bool() ? "True" : "False";
    if (style_.python_words && value.is_null()) return "None";
    return spaced_json(value);
  }

 private:
  std::string key(std::string_view name) const {
    return style_.bare_keys ? std::string(name) : style_.quote + std::string(name) + style_.quote;
  }

  const LiteralStyle& style_;
};

std::string body(const JsonCallStyle& style, const ToolCall& call, std::size_t index,
                 const json::value& arguments) {
  if (style.name_key.empty()) return "{" + quoted(call.name) + ": " + spaced_json(arguments) + "}";
  std::string out = "{";
  if (!style.index_key.empty()) out += quoted(style.index_key) + ": \"" + std::to_string(index) + "\", ";
  out += quoted(style.name_key) + ": " + quoted(call.name) + ", ";
  out += quoted(style.arguments_keys.front()) + ": " + spaced_json(arguments);
  if (!style.id_key.empty()) out += ", " + quoted(style.id_key) + ": " + quoted(call.id);
  return out + "}";
}

std::string body(const NamedJsonStyle& style, const ToolCall& call, std::size_t index,
                 const json::value& arguments) {
  std::string out = call.name;
  if (!style.index_mark.empty()) out += style.index_mark + std::to_string(index);
  if (!style.id_mark.empty()) out += style.id_mark + call.id;
  return out + style.name_end + spaced_json(arguments);
}

std::string tagged_value(const TaggedStyle& style, const json::value& value) {
  if (value.is_string()) return std::string(value.get_string());
  if (style.python_words && value.is_bool()) return value.get_bool() ? "True" : "False";
  if (style.python_words && value.is_null()) return "None";
  return spaced_json(value);
}

std::string body(const TaggedStyle& style, const ToolCall& call, std::size_t /*index*/,
                 const json::value& arguments) {
  std::string out = call.name + style.name_end;
  bool first = true;
  for (const auto& field : arguments.get_object()) {
    if (!std::exchange(first, false)) out += style.parameter_separator;
    const bool other = !style.other_name_end.empty() && !field.value().is_string();
    out += style.parameter_open + std::string(field.key());
    out += (other ? style.other_name_end : style.parameter_name_end) + style.value_open;
    out += style.value_space.open + tagged_value(style, field.value()) + style.value_space.close;
    out += style.parameter_close;
  }
  if (!first) out += style.parameter_separator;
  return out;
}

std::string body(const LiteralStyle& style, const ToolCall& call, std::size_t /*index*/,
                 const json::value& arguments) {
  const LiteralWriter writer(style);
  std::string out = call.name + style.arguments.open;
  bool first = true;
  for (const auto& field : arguments.get_object()) {
    if (!std::exchange(first, false)) out += style.separator;
    out += std::string(field.key()) + style.assign + writer.value(field.value());
  }
  return out + style.arguments.close;
}

}  // namespace

std::string write_literal(const LiteralStyle& style, const json::value& value) {
  return LiteralWriter(style).value(value);
}

std::string write_calls(const ToolFormat& format, std::span<const ToolCall> calls) {
  const std::string begin = format.section.open + format.list.open;
  const std::string end = format.list.close + format.section.close;
  const bool one_section = format.parallel == ParallelForm::kInSection;
  std::string out;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    json::value arguments = arguments_object(calls[i].arguments);
    if (!arguments.is_object()) arguments = json::object();
    if (i > 0) out += format.separator;
    if (i == 0 || !one_section) out += begin;
    out += format.call.open;
    out += std::visit([&](const auto& style) { return body(style, calls[i], i, arguments); }, format.style);
    out += format.call.close;
    if (i + 1 == calls.size() || !one_section) out += end;
  }
  return out;
}

}  // namespace kvasir::chat
