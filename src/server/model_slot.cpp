#include "server/model_slot.h"

#include <algorithm>
#include <ctime>

namespace kvasir::server {

ModelSlot::ModelSlot(std::string id, std::vector<std::string> aliases)
    : id_(std::move(id)),
      aliases_(std::move(aliases)),
      created_(static_cast<std::int64_t>(std::time(nullptr))) {}

bool ModelSlot::answers_to(std::string_view name) const {
  return name.empty() || name == id_ || std::ranges::find(aliases_, name) != aliases_.end();
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
