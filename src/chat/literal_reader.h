#pragma once
// Reads one value in JSON, Python's literal syntax or Gemma's, a character at a time, and writes it as JSON
// as it goes. Constant work a character; numbers and words are held until they end.

#include <string>
#include <string_view>

namespace kvasir::chat {

struct LiteralSyntax {
  std::string_view quote;  // a string delimiter without escapes, beside the usual quotes; outlives the reader
  bool bare_keys = false;
};

class LiteralReader {
 public:
  enum class Step {
    kMore,
    kDone,        // the character ends the value
    kDoneBefore,  // the value had ended before this character, which is not part of it
    kError,       // the character was not consumed
  };

  explicit LiteralReader(LiteralSyntax syntax) : syntax_(syntax) {}

  void reset();
  // Appends to `out` what has become certain.
  Step feed(char c, std::string& out);
  // The text ended within the value: what is held comes out as far as it goes.
  void cut(std::string& out) const;
  bool in_string() const { return state_ == State::kString || state_ == State::kEscape; }

 private:
  enum class State {
    kValue,
    kFirstItem,
    kFirstKey,
    kKey,
    kBareKey,
    kColon,
    kAfter,
    kWord,
    kQuote,
    kString,
    kEscape
  };

  Step feed_value(char c, std::string& out);
  Step feed_word(char c, std::string& out);
  Step feed_quote(char c, std::string& out);
  Step feed_string(char c, std::string& out);
  Step feed_long_quote_string(char c, std::string& out);
  Step feed_escape(char c, std::string& out);
  Step feed_after(char c, std::string& out);
  Step open_string(char quote, std::string& out);
  Step string_ended(std::string& out);
  Step value_ended();
  Step close(char opener, char c, std::string& out);
  void flush_code_point(std::string& out);
  void flush_comma(std::string& out);

  LiteralSyntax syntax_;
  State state_ = State::kValue;
  std::string open_;         // the containers around the next character, as '{' and '['
  std::string word_;         // a number or word, a bare key, or digits of an escape
  char quote_ = 0;           // of the running string; 0: syntax_.quote
  std::size_t matched_ = 0;  // characters of syntax_.quote that stand before the next one
  bool key_ = false;         // the string is a key
  bool comma_ = false;       // read, and written once something follows it
  char escape_ = 0;          // x, u or U while its digits are read
};

// A number or word of any of the syntaxes as JSON; empty where it is none.
std::string literal_word(std::string_view word);

}  // namespace kvasir::chat
