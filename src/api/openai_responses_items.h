#pragma once
// The Responses API's items -> turns of a conversation.

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "chat/conversation.h"

namespace kvasir::api {

// What a reasoning item's encrypted_content begins with, where it is ours: the thought follows, in plain
// text. It never leaves this machine's client.
inline constexpr std::string_view kThoughtMark = "kvasir:";

// Appends the turns. Items of one answer (thought, text, calls) are one turn. `path` names the list in
// errors. Throws FieldError.
void append_items(const boost::json::array& items, const std::string& path,
                  std::vector<chat::Message>& messages);

}  // namespace kvasir::api
