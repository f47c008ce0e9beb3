#include "api/structural_tag.h"

#include <algorithm>
#include <vector>

#include "chat/answer_grammar.h"
#include "chat/lark_writer.h"
#include "chat/python_regex.h"
#include "chat/schema_grammar.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;
using chat::lark_quoted;

constexpr std::size_t kDepthMax = 32;
constexpr std::size_t kPartsMax = 500;

// A part of the answer. What is plain (a regular language) can be joined to its neighbours in one lexeme, and
// is then not cut short by the longest reading.
struct Part {
  enum class Kind { kPlain, kAnyText, kOther };
  Kind kind = Kind::kOther;
  std::string body;
  // Where the part begins with a text that is known: that text, and what follows it. Free text before the
  // part ends where it first stands.
  std::string opening = {};
  std::string behind = {};
};

struct Tag {
  std::string begin;
  std::string rest;  // a rule: content and end, behind the begin
};

class Writer {
 public:
  std::string grammar(const Fields& tag) {
    Part whole;
    if (const std::optional<Fields> format = tag.fields("format")) {
      whole = part(*format, 0);
    } else {
      const std::vector<Fields> structures = list(tag, "structures");
      std::vector<Tag> tags;
      for (const Fields& structure : structures) {
        const std::string begin = structure.required_string("begin");
        const Part content = schema(structure, "schema");
        tags.push_back(
            {begin, lark_.rule("tag", content.body + " " + lark_quoted(structure.required_string("end")))});
      }
      whole = triggered(tag, tags, false, false);
    }
    return "start: " + placed(whole) + "\n" + lark_.rules();
  }

 private:
  static std::vector<Fields> list(const Fields& holder, const char* key) {
    const json::array* array = holder.array(key);
    if (array == nullptr) field_error(holder.path_of(key), "is required and must be a list");
    if (array->empty()) field_error(holder.path_of(key), "must not be empty");
    std::vector<Fields> fields;
    fields.reserve(array->size());
    for (std::size_t i = 0; i < array->size(); ++i) {
      fields.emplace_back((*array)[i], element_path(holder.path_of(key), i));
    }
    return fields;
  }

  // As part of a rule.
  std::string placed(const Part& part) {
    if (part.kind == Part::Kind::kOther) return part.body;
    const std::string terminal = "TEXT-" + std::to_string(terminals_++);
    lark_.define(terminal, part.kind == Part::Kind::kAnyText ? "/(?s:.*)/" : part.body);
    return terminal;
  }

  Part other(const char* hint, const std::string& body) {
    return {Part::Kind::kOther, lark_.rule(hint, body)};
  }

  Part part(const Fields& format, std::size_t depth) {
    if (depth > kDepthMax || ++parts_ > kPartsMax) {
      field_error(format.path(), "the structure is too deep or too large");
    }
    const std::string type = format.required_string("type");
    if (type == "const_string") return constant(format.required_string("value"));
    if (type == "any_text") return {Part::Kind::kAnyText, {}};
    if (type == "json_schema") return schema(format, "json_schema");
    if (type == "regex") return regex(format);
    if (type == "grammar") return grammar_part(format);
    if (type == "sequence") return sequence(format, depth);
    if (type == "or") return alternatives(format, depth);
    if (type == "tag") {
      const Tag one = tag(format, depth);
      Part whole = other("tag", lark_quoted(one.begin) + " " + one.rest);
      whole.opening = one.begin;
      whole.behind = one.rest;
      return whole;
    }
    if (type == "triggered_tags") {
      return triggered(format, tags(format, depth), format.boolean("at_least_one").value_or(false),
                       format.boolean("stop_after_first").value_or(false));
    }
    if (type == "tags_with_separator") return separated(format, depth);
    for (const char* mark : {"optional ?", "star *", "plus +"}) {
      const std::string_view name(mark, std::string_view(mark).size() - 2);
      if (type != name) continue;
      const std::optional<Fields> content = format.fields("content");
      if (!content) field_error(format.path_of("content"), "is required and must be an object");
      return other("repeat", "( " + placed(part(*content, depth + 1)) + " )" + mark[name.size() + 1]);
    }
    field_error(
        format.path_of("type"),
        "\"" + type +
            "\" is not one of const_string, any_text, json_schema, regex, grammar, sequence, or, tag, "
            "triggered_tags, tags_with_separator, optional, star, plus");
  }

  static Part constant(const std::string& text) {
    return {Part::Kind::kPlain, lark_quoted(text), text, "\"\""};
  }

  Part schema(const Fields& holder, const char* key) {
    const json::value* schema = holder.find(key);
    if (schema == nullptr || !schema->is_object()) {
      field_error(holder.path_of(key), "is required and must be a JSON Schema");
    }
    return other("json", chat::json_rule(schema->get_object(), chat::SchemaReading::kStrict));
  }

  static Part regex(const Fields& format) {
    const Result<std::string> regex = chat::python_regex(format.required_string("pattern"));
    if (!regex) field_error(format.path_of("pattern"), regex.error().message);
    if (regex->empty()) field_error(format.path_of("pattern"), "admits no text");
    return {Part::Kind::kPlain, "/" + *regex + "/"};
  }

  Part grammar_part(const Fields& format) {
    const Result<std::string> grammar = chat::any_grammar(format.required_string("grammar"));
    if (!grammar) field_error(format.path_of("grammar"), grammar.error().message);
    return other("grammar", "%lark {\n" + *grammar + "\n}");
  }

  Part joined(const std::vector<Part>& parts, const std::string& path) {
    std::string rule;
    for (std::size_t i = 0; i < parts.size();) {
      if (parts[i].kind == Part::Kind::kAnyText && i + 1 < parts.size()) {
        const Part& next = parts[i + 1];
        if (next.opening.empty())
          field_error(path, "any_text must be the last, or stand before a const_string or a tag");
        rule += " " + lark_.text_until(next.opening, 0) + " " + next.behind;
        i += 2;
        continue;
      }
      Part run = parts[i++];
      while (run.kind == Part::Kind::kPlain && i < parts.size() && parts[i].kind == Part::Kind::kPlain) {
        run.body = "( " + run.body + " ) ( " + parts[i++].body + " )";
      }
      rule += " " + placed(run);
    }
    return other("sequence", rule.substr(1));
  }

  Part sequence(const Fields& format, std::size_t depth) {
    std::vector<Part> parts;
    for (const Fields& element : list(format, "elements")) parts.push_back(part(element, depth + 1));
    return joined(parts, format.path());
  }

  Part alternatives(const Fields& format, std::size_t depth) {
    std::string plain;
    std::string rule;
    for (const Fields& element : list(format, "elements")) {
      const Part one = part(element, depth + 1);
      std::string& to = one.kind == Part::Kind::kPlain ? plain : rule;
      to +=
          (to.empty() ? "" : " | ") + (one.kind == Part::Kind::kPlain ? "( " + one.body + " )" : placed(one));
    }
    if (rule.empty()) return {Part::Kind::kPlain, "( " + plain + " )"};
    if (!plain.empty()) rule += " | " + placed({Part::Kind::kPlain, plain});
    return other("any", rule);
  }

  Tag tag(const Fields& format, std::size_t depth) {
    const std::string begin = format.required_string("begin");
    const std::optional<Fields> content = format.fields("content");
    if (!content) field_error(format.path_of("content"), "is required and must be an object");
    const std::string end = format.required_string("end");
    return {begin, joined({part(*content, depth + 1), constant(end)}, content->path()).body};
  }

  std::vector<Tag> tags(const Fields& format, std::size_t depth) {
    std::vector<Tag> all;
    for (const Fields& one : list(format, "tags")) {
      if (depth > kDepthMax || ++parts_ > kPartsMax)
        field_error(one.path(), "the structure is too deep or too large");
      all.push_back(tag(one, depth + 1));
    }
    return all;
  }

  // Free text in which what begins like a trigger must be a tag.
  Part triggered(const Fields& format, const std::vector<Tag>& tags, bool at_least_one,
                 bool stop_after_first) {
    const json::array* triggers = format.array("triggers");
    if (triggers == nullptr || triggers->empty()) {
      field_error(format.path_of("triggers"), "is required: a list of at least one string");
    }
    std::vector<bool> used(tags.size());
    std::string by_trigger;
    for (std::size_t i = 0; i < triggers->size(); ++i) {
      const std::string path = element_path(format.path_of("triggers"), i);
      if (!(*triggers)[i].is_string() || (*triggers)[i].get_string().empty()) {
        field_error(path, "must be a string that is not empty");
      }
      const std::string trigger = to_string((*triggers)[i]);
      std::string rests;
      for (std::size_t t = 0; t < tags.size(); ++t) {
        if (used[t] || !tags[t].begin.starts_with(trigger)) continue;
        used[t] = true;
        rests += (rests.empty() ? "" : " | ") + lark_quoted(tags[t].begin.substr(trigger.size())) + " " +
                 tags[t].rest;
      }
      if (rests.empty()) field_error(path, "no tag begins with this trigger");
      by_trigger += (by_trigger.empty() ? "" : " | ") + lark_.text_until(trigger, 0) + " ( " + rests + " )";
    }
    const auto left = std::ranges::find(used, false);
    if (left != used.end()) {
      field_error(format.path_of("triggers"),
                  "none begins \"" + tags[static_cast<std::size_t>(left - used.begin())].begin + "\"");
    }
    const std::string one = lark_.rule("triggered", by_trigger);
    std::string rest = one + (stop_after_first ? "" : "*");
    if (at_least_one) {
      std::string first;
      for (const Tag& tag : tags)
        first += (first.empty() ? "" : " | ") + lark_quoted(tag.begin) + " " + tag.rest;
      rest = "( " + first + " )" + (stop_after_first ? "" : " " + rest);
      return other("tags", rest + (stop_after_first ? "" : " " + tail()));
    }
    return other("tags", stop_after_first ? one + " | " + tail() : rest + " " + tail());
  }

  std::string tail() { return "( " + placed({Part::Kind::kAnyText, {}}) + " )?"; }

  Part separated(const Fields& format, std::size_t depth) {
    std::string any;
    for (const Tag& one : tags(format, depth)) {
      any += (any.empty() ? "" : " | ") + lark_quoted(one.begin) + " " + one.rest;
    }
    any = lark_.rule("tag", any);
    const std::string separator = lark_quoted(format.required_string("separator"));
    const bool once = format.boolean("stop_after_first").value_or(false);
    const std::string all = once ? any : any + " ( " + separator + " " + any + " )*";
    return other("tags", format.boolean("at_least_one").value_or(false) ? all : "( " + all + " )?");
  }

  chat::LarkWriter lark_{{}};
  std::size_t terminals_ = 0;
  std::size_t parts_ = 0;
};

}  // namespace

std::string structural_tag_grammar(const Fields& tag) {
  return Writer().grammar(tag);
}

}  // namespace kvasir::api
