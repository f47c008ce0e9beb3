#pragma once
// Behind a call: whether what comes next closes the calls of a turn or begins a further one, told from the
// marks of the family's format as they are written piece by piece.

#include <string>
#include <string_view>
#include <vector>

#include "chat/tool_format.h"

namespace kvasir::chat {

class ClosingMarks {
 public:
  explicit ClosingMarks(const ToolFormat& format);

  // What has been written behind the call, or behind what was fed before.
  void feed(std::string_view bytes);
  // Whether these bytes, if they came next, could only be of a further call.
  bool begins_call(std::string_view bytes) const;

 private:
  bool space_closes() const;

  std::vector<std::string> further_;  // what a further call may begin with
  std::vector<std::string> closing_;  // what is still to close, each with the white space in front of it
  bool space_separates_ = false;      // white space may stand before a further call
  std::string begun_;                 // the beginning of a mark
};

}  // namespace kvasir::chat
