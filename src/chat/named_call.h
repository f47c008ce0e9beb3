#pragma once
// NamedJsonStyle: a name, marks, and the arguments as one JSON object. The call is certain once the object
// begins.

#include "chat/call_reader.h"
#include "chat/json_scanner.h"
#include "chat/loose_match.h"

namespace kvasir::chat {

class NamedCall : public CallReader {
 public:
  explicit NamedCall(const CallReaderContext& context);

  Step feed(char c) override;
  bool begun() const override { return foreseen() || state_ == State::kArguments; }
  std::string_view unmatched() const override;

 private:
  enum class State { kName, kMark, kId, kOpen, kArguments };

  Step feed_name(char c);
  Step feed_mark(char c);
  Step feed_arguments(char c);
  void expect_marks(bool id_too);
  void foresee_name();
  bool name_ended();

  const NamedJsonStyle& style_;
  State state_ = State::kName;
  LooseMatch mark_;
  JsonScanner scanner_;
};

}  // namespace kvasir::chat
