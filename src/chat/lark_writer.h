#pragma once
// Pieces of grammars in llguidance's Lark dialect: literals in which control tokens may stand, free text up
// to a mark, fields in any order. Rules gather as they are needed.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/template_traits.h"

namespace kvasir::chat {

class LarkWriter {
 public:
  explicit LarkWriter(std::span<const Marker> markers) : markers_(markers) {}

  // Exactly this text. Control tokens in it may come as the token or spelled out; those that end an answer
  // are left to the end.
  std::string literal(std::string_view text) const;
  // A new rule of this body; gives its name.
  std::string rule(std::string_view hint, const std::string& body);
  // A name for a rule that will be defined later, and its definition.
  std::string reserve(std::string_view hint);
  void define(const std::string& name, const std::string& body);
  // Text of at least `bytes_min` characters up to and with `end`, which does not stand in the text.
  std::string text_until(std::string_view end, std::size_t bytes_min);

  struct Field {
    std::string body;  // a rule's name or an expression
    bool required = false;
  };
  // The fields, each at most once and the required ones in any case, in any order (in theirs, where they are
  // very many), with `separator` between them.
  std::string any_order(const std::vector<Field>& fields, const std::string& separator);

  const std::string& rules() const { return rules_; }

 private:
  std::string in_order(const std::vector<Field>& fields, const std::string& separator);

  std::span<const Marker> markers_;
  std::string rules_;
  std::size_t count_ = 0;
};

// A string as a Lark literal; a regular expression that matches exactly it, between slashes.
std::string lark_quoted(std::string_view text);
std::string regex_escaped(std::string_view text);

}  // namespace kvasir::chat
