#include "chat/closing_marks.h"

#include <algorithm>

#include "chat/token_text.h"

namespace kvasir::chat {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::string_view without_lead(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text;
}

void add(std::string_view mark, std::vector<std::string>& marks) {
  mark = mark.substr(0, mark.find_last_not_of(kSpace) + 1);
  if (!mark.empty()) marks.emplace_back(mark);
}

bool any_goes_on(const std::vector<std::string>& marks, std::string_view text) {
  return std::ranges::any_of(marks,
                             [&](const std::string& mark) { return goes_on_with(text, without_lead(mark)); });
}

}  // namespace

ClosingMarks::ClosingMarks(const ToolFormat& format)
    : space_separates_(!format.separator.empty() && without_lead(format.separator).empty()) {
  add(format.separator, further_);
  add(format.call.open, further_);
  add(format.section.open, further_);
  if (format.call.open.empty() && format.as<JsonCallStyle>() != nullptr) add("{", further_);
  add(format.call.close, closing_);
  add(format.list.close, closing_);
  add(format.section.close, closing_);
}

void ClosingMarks::feed(std::string_view bytes) {
  begun_ += bytes;
  // The first of these bytes may be the rest of a mark that had begun before.
  for (;;) {
    begun_.erase(0, begun_.size() - without_lead(begun_).size());
    if (begun_.empty()) return;
    if (any_goes_on(closing_, begun_) || any_goes_on(further_, begun_)) break;
    begun_.erase(0, 1);
  }
  const auto closed = std::ranges::find_if(
      closing_, [&](const std::string& mark) { return begun_.starts_with(without_lead(mark)); });
  if (closed == closing_.end()) return;
  begun_.erase(0, without_lead(*closed).size());
  closing_.erase(closed);  // each closes once
}

bool ClosingMarks::begins_call(std::string_view bytes) const {
  const std::string whole = begun_ + std::string(bytes);
  const std::string_view text = without_lead(whole);
  if (text.empty()) return space_separates_ && !space_closes();
  return any_goes_on(further_, text) && !any_goes_on(closing_, text);
}

bool ClosingMarks::space_closes() const {
  return std::ranges::any_of(closing_,
                             [](const std::string& mark) { return without_lead(mark).size() < mark.size(); });
}

}  // namespace kvasir::chat
