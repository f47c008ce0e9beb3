#include "chat/lark_writer.h"

#include <algorithm>
#include <boost/json.hpp>

namespace kvasir::chat {
namespace {

// The grammar engine keeps which fields are done in the bits of a word.
constexpr std::size_t kAnyOrderMax = 60;

}  // namespace

std::string lark_quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

std::string regex_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (std::string_view("\\/.^$|?*+()[]{}").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string LarkWriter::literal(std::string_view text) const {
  std::string out;
  const auto add = [&out](const std::string& atom) { out += (out.empty() ? "" : " ") + atom; };
  while (!text.empty()) {
    std::size_t at = text.size();
    const Marker* first = nullptr;
    for (const Marker& marker : markers_) {
      const std::size_t found = text.find(marker.text);
      if (found > at || found == std::string_view::npos) continue;
      if (found == at && first != nullptr && first->text.size() > marker.text.size()) continue;
      at = found;
      first = &marker;
    }
    if (at > 0) add(lark_quoted(text.substr(0, at)));
    if (first == nullptr) break;
    if (!first->ends_answer) {
      add("( <[" + std::to_string(first->token) + "]> | " + lark_quoted(first->text) + " )");
    }
    text.remove_prefix(at + first->text.size());
  }
  return out.empty() ? "\"\"" : out;
}

std::string LarkWriter::reserve(std::string_view hint) {
  return std::string(hint) + "_" + std::to_string(count_++);
}

void LarkWriter::define(const std::string& name, const std::string& body) {
  rules_ += name + ": " + body + "\n";
}

std::string LarkWriter::rule(std::string_view hint, const std::string& body) {
  const std::string name = reserve(hint);
  define(name, body);
  return name;
}

std::string LarkWriter::text_until(std::string_view end, std::size_t bytes_min) {
  const std::string first = "[^" + regex_escaped(end.substr(0, 1)) + "\\n]";
  const std::string text =
      bytes_min == 0 ? "/(?s:.*)/" : "/" + first + "(?s:.{" + std::to_string(bytes_min - 1) + ",})/";
  const auto marker = std::ranges::find(markers_, end, &Marker::text);
  if (marker == markers_.end()) {
    const std::string name = reserve("text");
    rules_ += name + "[suffix=" + lark_quoted(end) + "]: " + text + "\n";
    return name;
  }
  std::string terminal = reserve("TEXT");
  define(terminal, text + " & ~/(?s:.*)" + regex_escaped(end) + "(?s:.*)/");
  return rule("text", terminal + " <[" + std::to_string(marker->token) + "]>");
}

std::string LarkWriter::any_order(const std::vector<Field>& fields, const std::string& separator) {
  if (fields.empty()) return "\"\"";
  if (fields.size() > kAnyOrderMax) return in_order(fields, separator);
  std::vector<const Field*> sorted;
  sorted.reserve(fields.size());
  for (const bool required : {true, false}) {
    for (const Field& field : fields) {
      if (field.required == required) sorted.push_back(&field);
    }
  }
  const auto required = static_cast<std::size_t>(std::ranges::count_if(fields, &Field::required));
  const std::string complete =
      required == 0 ? "\"\"" : "\"\" %if is_ones([0:" + std::to_string(required) + "])";
  const std::string first = reserve("fields");
  const std::string rest = separator.empty() ? first : reserve("fields");
  const auto alternatives = [&](const std::string& before) {
    std::string body;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      const std::string bit = std::to_string(i);
      body.append("\n  | ").append(before).append(sorted[i]->body).append(" ").append(rest);
      body.append("::set_bit(").append(bit).append(") %if bit_clear(").append(bit).append(")");
    }
    return body;
  };
  define(first + "::_", complete + alternatives(""));
  if (!separator.empty()) define(rest + "::_", complete + alternatives(separator + " "));
  return first + "::0x0";
}

// Two rules a field: with and without anything written before it.
std::string LarkWriter::in_order(const std::vector<Field>& fields, const std::string& separator) {
  std::string first = "\"\"";
  std::string rest = "\"\"";
  for (std::size_t i = fields.size(); i-- > 0;) {
    const Field& field = fields[i];
    std::string with = field.body;
    with.append(" ").append(rest);
    std::string from_first = with;
    std::string from_rest = separator;
    from_rest.append(" ").append(with);
    if (!field.required) {
      from_first.append(" | ").append(first);
      from_rest.append(" | ").append(rest);
    }
    first = rule("field", from_first);
    rest = rule("field", from_rest);
  }
  return first;
}

}  // namespace kvasir::chat
