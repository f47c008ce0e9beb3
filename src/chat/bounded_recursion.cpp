#include "chat/bounded_recursion.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "chat/schema_keys.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

constexpr std::size_t kBytesMost = std::size_t{256} << 10;

constexpr std::string_view kDefinitions[] = {"$defs", "definitions"};
// What hold schemas by name; alone or in a list.
constexpr std::string_view kNamed[] = {"properties", "patternProperties"};
constexpr std::string_view kHeld[] = {"items", "prefixItems", "additionalProperties",
                                      "anyOf", "oneOf",       "allOf"};

const json::string* reference_in(const json::object& schema) {
  const json::value* ref = schema.if_contains("$ref");
  return ref == nullptr ? nullptr : ref->if_string();
}

// What a schema refers to, and which of it from where less might admit more.
struct References {
  std::set<std::string, std::less<>> all, reversed;

  void find(const json::value& schema, bool plain = true) {
    if (const json::array* list = schema.if_array()) {
      for (const json::value& one : *list) find(one, plain);
    } else if (const json::object* object = schema.if_object()) {
      find(*object, plain);
    }
  }

  void find(const json::object& schema, bool plain = true) {
    if (const json::string* ref = reference_in(schema)) {
      all.emplace(*ref);
      if (!plain) reversed.emplace(*ref);
    }
    for (const auto& field : schema) {
      const std::string_view key = field.key();
      if (holds_values(key) || one_of(kDefinitions, key)) continue;
      if (one_of(kNamed, key) && field.value().is_object()) {
        for (const auto& one : field.value().get_object()) find(one.value(), plain);
      } else {
        find(field.value(), plain && one_of(kHeld, key));
      }
    }
  }
};

class Unroller {
 public:
  explicit Unroller(const json::object& root) : root_(root) {
    for (const std::string_view key : kDefinitions) {
      const json::value* named = root.if_contains(key);
      if (named == nullptr || !named->is_object()) continue;
      for (const auto& one : named->get_object())
        definitions_["#/" + std::string(key) + "/" + std::string(one.key())] = &one.value();
    }
    for (const auto& [name, schema] : definitions_) references_[name].find(*schema);
    references_[""].find(root);
  }

  std::optional<json::value> unrolled() {
    std::size_t bytes = 0;
    for (const auto& [name, schema] : definitions_) {
      if (!reaches(name, name)) continue;
      recursive_.emplace(name, "deep" + std::to_string(recursive_.size()));
      bytes += json::serialize(*schema).size() * kRecursionLevels;
    }
    if (recursive_.empty() || bytes > kBytesMost || !can_be_written_out()) return std::nullopt;
    json::object made = schema_at(root_, 0).get_object();
    json::object& shared =
        made["$defs"].is_object() ? made["$defs"].get_object() : made["$defs"].emplace_object();
    for (const auto& [name, copy] : recursive_) {
      for (int level = 1; level <= kRecursionLevels; ++level)
        shared[at_level(copy, level)] = schema_at(*definitions_.at(name), level);
    }
    return made;
  }

 private:
  static std::string at_level(const std::string& copy, int level) {
    return copy + "." + std::to_string(level);
  }

  bool reaches(const std::string& from, std::string_view to) const {
    std::set<std::string, std::less<>> seen;
    const auto descend = [&](const auto& self, std::string_view name) -> bool {
      const auto found = references_.find(name);
      if (found == references_.end()) return false;
      return std::ranges::any_of(found->second.all, [&](const std::string& next) {
        return next == to || (seen.insert(next).second && self(self, next));
      });
    };
    return descend(descend, from);
  }

  bool can_be_written_out() const {
    for (const auto& [name, references] : references_) {
      for (const std::string& one : references.all)
        if (!definitions_.contains(one)) return false;
      for (const std::string& one : references.reversed)
        if (recursive_.contains(one)) return false;
    }
    // A name that a copy takes.
    return std::ranges::none_of(definitions_,
                                [](const auto& one) { return one.first.starts_with("#/$defs/deep"); });
  }

  // A schema of so many levels down, referring to the copies of the next one.
  json::value schema_at(const json::value& schema, int level) const {
    if (const json::array* list = schema.if_array()) {
      json::array made;
      for (const json::value& one : *list) made.push_back(schema_at(one, level));
      return made;
    }
    const json::object* object = schema.if_object();
    return object == nullptr ? schema : schema_at(*object, level);
  }

  json::value schema_at(const json::object& schema, int level) const {
    const json::string* ref = reference_in(schema);
    const auto copy = ref == nullptr ? recursive_.end() : recursive_.find(std::string_view(*ref));
    if (copy != recursive_.end() && level == kRecursionLevels) return false;
    json::object made;
    for (const auto& field : schema) {
      const std::string_view key = field.key();
      json::value& to = made[key];
      if (key == "$ref" && copy != recursive_.end()) {
        to = "#/$defs/" + at_level(copy->second, level + 1);
      } else if (holds_values(key)) {
        to = field.value();
      } else if ((one_of(kNamed, key) || one_of(kDefinitions, key)) && field.value().is_object()) {
        json::object& named = to.emplace_object();
        for (const auto& one : field.value().get_object()) {
          const std::string name = "#/" + std::string(key) + "/" + std::string(one.key());
          if (!recursive_.contains(name)) named[one.key()] = schema_at(one.value(), level);
        }
      } else {
        to = schema_at(field.value(), level);
      }
    }
    return made;
  }

  const json::object& root_;
  std::map<std::string, const json::value*, std::less<>> definitions_;  // by how they are referred to
  std::map<std::string, References, std::less<>> references_;           // the root's under ""
  std::map<std::string, std::string, std::less<>> recursive_;           // and what its copies are called
};

}  // namespace

json::value with_bounded_recursion(const json::value& schema) {
  const bool defines = schema.is_object() && std::ranges::any_of(kDefinitions, [&](std::string_view key) {
                         return schema.get_object().contains(key);
                       });
  if (!defines) return schema;
  if (auto made = Unroller(schema.get_object()).unrolled()) return std::move(*made);
  return schema;
}

}  // namespace kvasir::chat
