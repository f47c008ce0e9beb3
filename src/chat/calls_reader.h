#pragma once
// Reads the calls of an answer from the point where one has opened, a character at a time, until what follows
// is text again: section, list and call delimiters around the bodies that CallReader reads. Not thread-safe.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/call_reader.h"
#include "chat/loose_match.h"

namespace kvasir::chat {

class CallsReader {
 public:
  enum class Step {
    kMore,
    kBegun,      // a call is certain: call() tells its name
    kArguments,  // and has more arguments
    kCallEnded,  // its last character
    kDone,       // and nothing more belongs to the calls; the character was consumed
    kFail,       // the character was not consumed: text() and again() are not calls
    kText,       // what opened is no call, and no text either
  };

  // `format` and `tools` outlive the reader. `declared_only`: the sampler admits these tools' names only.
  CallsReader(const ToolFormat& format, std::span<const Tool> tools, bool declared_only)
      : format_(format), tools_(tools), declared_only_(declared_only) {}

  // `opener`: which of call_openers(); `text`: what has been read so far.
  void open(std::string_view opener, std::string text);
  // A call without delimiters whose '{' ends `text`.
  void open_bare(std::string text);

  Step feed(char c);
  // After kBegun to kCallEnded; a call that ended may still have arguments to be taken.
  CallReader& call() { return *call_; }
  bool in_call() const { return state_ == State::kCall && call_->begun(); }
  // After kFail, or at the end of the text: what has been read since the last call and is text; and what
  // comes after it and is to be looked at again.
  std::string take_text();
  std::string take_again();

 private:
  enum class State { kListOpen, kCallOpen, kCall, kAfter };

  Step feed_after(char c);
  Step mark_matched();
  void begin_list();
  void begin_call();
  void begin_body(bool bare);
  Step call_done();
  void expect_after();
  Step fail(std::string_view again);

  const ToolFormat& format_;
  std::span<const Tool> tools_;
  bool declared_only_;
  State state_ = State::kCall;
  LooseMatch mark_;
  std::vector<std::string_view> marks_;
  std::unique_ptr<CallReader> call_;
  // Delimiters that are still to come.
  bool section_open_ = false;
  bool list_open_ = false;
  bool call_open_ = false;
  std::string text_;  // since the opener or the last call, while nothing is certain
  std::string again_;
};

}  // namespace kvasir::chat
