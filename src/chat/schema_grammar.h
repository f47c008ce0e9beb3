#pragma once
// Values that a JSON Schema admits, as grammar rules in the syntax that a tool format writes them in. Where
// that is JSON, the grammar engine reads the schema itself; here are texts that stand bare in tags, and the
// literal syntaxes of Python and Gemma.

#include <boost/json.hpp>
#include <map>
#include <string>

#include "chat/lark_writer.h"
#include "chat/schema_view.h"
#include "chat/tool_format.h"

namespace kvasir::chat {

// How strictly a tool's parameter schema is taken.
enum class SchemaReading {
  kStrict,   // an unknown keyword is an error
  kLenient,  // unknown keywords are ignored
  kObject,   // any JSON object
};

// The schema as an inline rule of the engine's, with the spacing that templates write: one optional space
// after
// ',' and ':', so that a weak model cannot wander off into white space.
std::string json_rule(boost::json::object schema, SchemaReading reading);
// A tool's arguments: an object whatever the schema leaves open.
std::string arguments_rule(const boost::json::value& parameters, SchemaReading reading);

class SchemaGrammar {
 public:
  SchemaGrammar(LarkWriter& lark, const boost::json::value& root, SchemaReading reading)
      : lark_(lark), root_(root), reading_(reading) {}

  // A text's characters up to and with `end`, the white space at whose beginning need not be there. `text`:
  // one of schema_alternatives(). Not what is read as a value of `others`; empty where nothing is left.
  std::string bare_text(const boost::json::object& text, std::string_view end, const ValueKinds& others = {});
  // JSON that fits one of these and is no text, with Python's words where the format has them.
  std::string bare_value(const std::vector<boost::json::object>& alternatives, bool python_words);
  // A value in a literal syntax.
  std::string literal_value(const LiteralStyle& style, const boost::json::value& schema);
  // An object's fields in a literal syntax, without the brackets. `assign`: between key and value.
  std::string literal_fields(const LiteralStyle& style, const boost::json::value& schema,
                             std::string_view assign, bool bare_keys);

 private:
  std::string literal_alternatives(const LiteralStyle& style, const boost::json::value& schema);
  std::string literal_type(const LiteralStyle& style, const boost::json::object& schema,
                           std::string_view type);
  std::string literal_text(const LiteralStyle& style, const boost::json::object& schema);
  std::string literal_array(const LiteralStyle& style, const boost::json::object& schema);
  std::string constant(const LiteralStyle& style, const boost::json::value& value) const;
  std::string literal_tuple(const LiteralStyle& style, const boost::json::object& schema);
  std::string constrained_text(const boost::json::object& schema, const std::string& character) const;
  std::string any(const LiteralStyle& style);

  LarkWriter& lark_;
  const boost::json::value& root_;
  SchemaReading reading_;
  std::map<std::string, std::string> named_;  // rules of schemas, by their text, that have been begun
  std::string any_;
};

}  // namespace kvasir::chat
