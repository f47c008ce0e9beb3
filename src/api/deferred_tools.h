#pragma once
// Tools that come up in mid-conversation: Anthropic's "defer_loading". Such a tool is not declared at the
// head of the prompt, where it would cost everything behind it. A message brings it: the result of a tool
// search refers to it (tool_reference), or a system turn adds it (tool_addition). There its definition is
// written out for the model, so that a tool more is a few hundred tokens more and no other prompt. A system
// turn may also take a tool away (tool_removal): the prompt says so from there on, and it can no longer be
// called.

#include <boost/json.hpp>
#include <set>
#include <string>

namespace kvasir::api {

// By name, as they stand at the conversation's end.
struct ToolChanges {
  std::set<std::string> loaded;   // a deferred tool that is not among them is not there yet
  std::set<std::string> removed;  // and not added again since
};

// Puts text in place of the tool_reference, tool_addition and tool_removal blocks of `body`, a messages
// request whose shape is still unchecked (those that a compaction block sums up among them), and declares
// what tool_additions define, deferred.
ToolChanges load_deferred_tools(boost::json::value& body);

}  // namespace kvasir::api
