#pragma once
// Generated text -> events, as it arrives. Work is linear in the text; what may still become a delimiter is
// held back, nothing else is; how the text was cut into pieces does not change the events (adjacent deltas
// apart). Text that turns out not to be a call comes out as text: nothing is ever lost but the delimiters and
// the white space that the template itself puts around calls and thoughts.
//
// One per generated sequence; not thread-safe.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "chat/calls_reader.h"
#include "chat/conversation.h"
#include "chat/template_traits.h"
#include "chat/tool_format.h"

namespace kvasir::chat {

struct OutputParserOptions {
  ToolFormat format;
  ReasoningFormat reasoning;
  std::vector<Tool> tools;           // declared; empty: no call is looked for
  bool declared_only = false;        // the sampler holds every call that opens to these tools' names
  std::vector<std::string> markers;  // control tokens of the vocabulary that are marks: never text
  bool starts_in_reasoning = false;  // the prompt ended with the opening tag
  std::string starts_in_call;        // the prompt ended with this opener of a call
  std::string text_before;           // comes out before all other text
  std::function<std::string()> make_id;
};

// What the template and the conversation say; the rest is the caller's. No tools where none may be called.
OutputParserOptions parser_options(const TemplateTraits& traits, const Conversation& conversation);
// No thought is looked for: the tags are text, that of the prompt among them.
void leave_thoughts_in_text(OutputParserOptions& options);

class OutputParser {
 public:
  explicit OutputParser(OutputParserOptions options);
  // The readers of calls point into options_.
  OutputParser(const OutputParser&) = delete;
  OutputParser& operator=(const OutputParser&) = delete;

  // `text` is whole UTF-8 characters (engine::Text). Events are appended to `events`.
  void feed(std::string_view text, std::vector<OutputEvent>& events);
  // The text has ended: what was held back comes out, and an unfinished call ends with what there is.
  void finish(std::vector<OutputEvent>& events);

  std::size_t calls() const { return calls_; }

 private:
  enum class State { kText, kReasoning, kCall };
  enum class Match {
    kNone,
    kPartial,
    kOpenCall,
    kOpenReasoning,
    kCloseReasoning,
    kCloseCall,
    kBareCall,
    kSilent,  // a mark that is no text
  };

  void consume(char c);
  void consume_text(char c);
  void consume_call(char c);
  Match classify() const;
  Match classify_bare() const;
  void on_mark(Match match);
  void mark_is_text();
  void begin_call(bool bare);
  void call_begun();
  void call_ended();
  void calls_done();
  void calls_fail(char c);
  std::string without_markers(std::string text) const;
  void emit_text(std::string_view text);
  void flush_text();
  void flush_arguments();

  OutputParserOptions options_;
  std::vector<std::string> openers_;  // of calls; empty where no tool is declared
  State state_ = State::kText;
  std::vector<OutputEvent>* events_ = nullptr;  // of the running feed() or finish()

  // Text that is certain but not yet emitted (one delta a feed), and what may still become a delimiter: white
  // space, then the beginning of one.
  std::string ready_;
  std::string space_;
  std::string mark_;
  bool at_line_start_ = true;    // of the first character of space_ + mark_
  bool mark_opens_line_ = true;  // of the first character of mark_
  bool any_output_ = false;      // text, thought or call: a thought opens only the answer
  bool any_text_ = false;
  bool drop_space_ = false;   // white space that comes next belongs to a delimiter
  bool after_call_ = false;   // a closing delimiter may come now
  bool close_fence_ = false;  // and a closing code fence

  std::optional<CallsReader> reader_;
  bool call_open_ = false;  // a call has begun and not ended
  bool call_fenced_ = false;
  bool call_seen_ = false;  // since reader_ opened
  std::string arguments_;   // of the running call, not yet emitted
  std::size_t calls_ = 0;
  std::unordered_set<std::string> ids_;  // of the calls so far
};

}  // namespace kvasir::chat
