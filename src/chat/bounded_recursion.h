#pragma once
// Tool parameters that refer to themselves (trees, linked lists), to a depth that JSON's readers follow.
// Small models descend without end; decision 34. Pure functions.

#include <boost/json.hpp>

namespace kvasir::chat {

// 32 levels of a tree whose children stand in a list are 64 containers within each other, at which .NET's
// reader stops; those of Ruby and Rust at 100 and 128.
inline constexpr int kRecursionLevels = 32;

// The schema with what refers to itself written out kRecursionLevels deep: what the last level would contain
// of it, nothing is. What the result admits, the schema admits. Unchanged: a schema without recursion; one
// that refers to itself from where less would admit more (`not`, `if`) or by anything but "#/$defs/NAME" and
// "#/definitions/NAME"; one that would become too large.
boost::json::value with_bounded_recursion(const boost::json::value& schema);

}  // namespace kvasir::chat
