#pragma once
// Tools that come up in mid-conversation: Anthropic's "defer_loading". Such a tool is not declared at the
// head of the prompt, where it would cost everything behind it. A message brings it: the result of a tool
// search refers to it (tool_reference), or a system turn adds it (tool_addition). There its definition is
// written out for the model, so that a tool more is a few hundred tokens more and no other prompt.

#include <boost/json.hpp>
#include <set>
#include <string>

namespace kvasir::api {

// Puts text in place of the tool_reference, tool_addition and tool_removal blocks of `body`, a messages
// request whose shape is still unchecked, and declares what tool_additions define, deferred. Returns the
// names of the tools that were loaded so; a deferred tool that is not among them is not there yet.
std::set<std::string> load_deferred_tools(boost::json::value& body);

}  // namespace kvasir::api
