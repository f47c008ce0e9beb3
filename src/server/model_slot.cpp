#include "server/model_slot.h"

#include <algorithm>
#include <ctime>

namespace kvasir::server {

namespace {

constexpr std::string_view kListedPrefix = "anthropic-";

bool is_listed(std::string_view name) {
  return name.starts_with("claude") || name.starts_with("anthropic");
}

}  // namespace

ModelSlot::ModelSlot(std::string id, std::vector<std::string> aliases)
    : id_(std::move(id)),
      aliases_(std::move(aliases)),
      created_(static_cast<std::int64_t>(std::time(nullptr))) {}

bool ModelSlot::answers_to(std::string_view name) const {
  if (name.starts_with(kListedPrefix) && name.substr(kListedPrefix.size()) == id_) return true;
  return name.empty() || name == id_ || std::ranges::find(aliases_, name) != aliases_.end();
}

std::vector<std::string> ModelSlot::anthropic_names() const {
  std::vector<std::string> names;
  for (const std::string& alias : aliases_) {
    const bool new_name = alias != id_ && std::ranges::find(names, alias) == names.end();
    if (is_listed(alias) && new_name) names.push_back(alias);
  }
  if (names.empty() && !is_listed(id_)) names.push_back(std::string(kListedPrefix) + id_);
  return names;
}

void ModelSlot::set_ready(std::shared_ptr<const LoadedModel> model) {
  const std::lock_guard lock(mutex_);
  model_ = std::move(model);
  progress_ = 1;
}

void ModelSlot::set_failed(Error error) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(error);
}

void ModelSlot::clear() {
  std::shared_ptr<const LoadedModel> model;
  {
    const std::lock_guard lock(mutex_);
    model.swap(model_);
  }
  // The engine ends here, outside the lock, unless a request is just being started with it.
}

std::shared_ptr<const LoadedModel> ModelSlot::get() const {
  const std::lock_guard lock(mutex_);
  return model_;
}

std::optional<Error> ModelSlot::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace kvasir::server
