#pragma once
// Readers of one call's body, a character at a time: an argument style of ToolFormat each. A reader knows the
// call as soon as it is certain and hands the arguments on as they are written, as JSON whatever the style.
// Constant work a character, on average. Not thread-safe: one caller at a time.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "chat/conversation.h"
#include "chat/tool_format.h"

namespace kvasir::chat {

struct CallReaderContext {
  const ToolFormat* format = nullptr;  // outlives the reader, as the tools do
  std::span<const Tool> tools;
  bool bare = false;           // nothing but its contents says that it is a call
  bool declared_only = false;  // the sampler admits these tools' names only
};

class CallReader {
 public:
  enum class Step {
    kMore,
    kDone,  // the call's last character
    kFail,  // this is no call, or no longer one; the character was not consumed
    kText,  // what was read opens text, and is no part of it
  };

  virtual ~CallReader() = default;
  virtual Step feed(char c) = 0;
  // The call is certain: its name is known and its arguments have begun. With declared_only the name alone
  // makes it so, and as much of it as no other tool's begins with.
  virtual bool begun() const = 0;
  // After kFail: the end of what was consumed that is to be looked at again, since it may begin something
  // else.
  virtual std::string_view unmatched() const { return {}; }
  // The text ended within the call: arguments that were held come out as far as they go.
  virtual void cut() {}

  const std::string& name() const { return foreseen_ != nullptr ? foreseen_->name : name_; }
  // The id that the model gave the call; mostly empty.
  const std::string& id() const { return id_; }
  // Arguments read since the last call; empty before begun(). Joined they are one JSON object.
  std::string take_arguments() { return begun() ? std::exchange(pending_, {}) : std::string(); }

 protected:
  explicit CallReader(const CallReaderContext& context);

  // `beginning`: of the name, while it is written.
  void foresee(std::string_view beginning);
  bool foreseen() const { return foreseen_ != nullptr; }

  std::string name_;
  std::string id_;
  std::string pending_;

 private:
  std::span<const Tool> expected_;  // the only names that can come; empty where any can
  const Tool* foreseen_ = nullptr;
};

std::unique_ptr<CallReader> make_call_reader(const CallReaderContext& context);

}  // namespace kvasir::chat
