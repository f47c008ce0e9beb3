#include "hub/blob_download.h"

#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "base/file_system.h"
#include "hub/digest.h"

namespace kvasir::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kReadBytes = std::size_t{1} << 20;
// Wrong bytes once may be a broken line or an old remnant; twice is the server's.
constexpr int kMostWrong = 2;

// "bytes 100-199/200" -> 100
std::optional<std::uint64_t> range_start(const HttpResponse& r) {
  const std::string text = r.header("content-range").value_or("");
  if (!text.starts_with("bytes ")) return std::nullopt;
  std::uint64_t n = 0;
  const auto parsed = std::from_chars(text.data() + 6, text.data() + text.size(), n);
  return parsed.ec == std::errc{} ? std::optional(n) : std::nullopt;
}

class BlobDownload {
 public:
  BlobDownload(HubApi& api, const RemoteFile& file, const std::string& blobs, const BlobProgress& progress)
      : api_(api),
        file_(file),
        blobs_(blobs),
        path_(path_in(blobs, file.etag + ".incomplete")),
        progress_(progress) {}

  Status run() {
    KVASIR_RETURN_IF_ERROR(open());
    for (int wrong = 0;;) {
      KVASIR_RETURN_IF_ERROR(fill());
      if (!digest_ || digest_->hex() == file_.etag) break;
      if (++wrong == kMostWrong) {
        return make_error(ErrorCode::kCorruptData,
                          file_.path + ": the bytes that " + api_.settings().endpoint +
                              " sends are not those that it names (" + file_.etag + ")",
                          file_.path);
      }
      if (api_.notice()) api_.notice()(file_.path + ": its bytes are wrong; getting it anew");
      KVASIR_RETURN_IF_ERROR(start_over());
    }
    KVASIR_RETURN_IF_ERROR(out_->sync());
    out_.reset();
    KVASIR_RETURN_IF_ERROR(system_files().rename(path_, path_in(blobs_, file_.etag)));
    return system_files().sync_folder(blobs_);
  }

 private:
  // Takes over what an earlier try has left.
  Status open() {
    std::error_code failed;
    const bool there = fs::exists(path_, failed);
    KVASIR_ASSIGN_OR_RETURN(out_,
                            system_files().open(path_, there ? OpenMode::kReadWrite : OpenMode::kCreateNew));
    KVASIR_ASSIGN_OR_RETURN(have_, out_->size());
    if (have_ > file_.size) KVASIR_RETURN_IF_ERROR(start_over());
    digest_ = Digest::for_etag(file_.etag, file_.size);
    std::vector<std::byte> buffer(kReadBytes);
    for (std::uint64_t at = 0; digest_ && at < have_;) {
      KVASIR_ASSIGN_OR_RETURN(const std::size_t n, out_->read_at(at, buffer));
      if (n == 0) break;
      digest_->update(std::span(buffer).first(n));
      at += n;
    }
    progress_(have_, 0);
    return {};
  }

  Status start_over() {
    have_ = 0;
    digest_ = Digest::for_etag(file_.etag, file_.size);
    return out_->truncate(0);
  }

  // Until all bytes are there, however often the line breaks: tries that bring something do not count.
  Status fill() {
    int fruitless = 0;
    while (have_ < file_.size) {
      const std::uint64_t before = have_;
      std::optional<std::string> retry_after;
      Status got = transfer(retry_after);
      if (have_ == file_.size) break;
      if (!got.ok() && got.error().code != ErrorCode::kUnavailable) return got;
      fruitless = have_ > before ? 0 : fruitless + 1;
      const std::string why = got.ok() ? file_.path + ": the line broke" : got.error().message;
      if (fruitless == api_.patience().tries) {
        return make_error(ErrorCode::kUnavailable,
                          why + "; given up after " + std::to_string(fruitless) +
                              " tries. The same command goes on where this ended",
                          file_.path);
      }
      wait_before_retry(std::max(1, fruitless), retry_after, why, api_.patience(), api_.notice());
    }
    return {};
  }

  // One request, from where we are.
  Status transfer(std::optional<std::string>& retry_after) {
    HttpRequest request;
    request.url = file_.url;
    request.token = api_.settings().token;
    request.from = have_;
    Status failed;
    HttpSink sink;
    sink.begin = [&](const HttpResponse& r) {
      // A server that knows no ranges, or sends another one, sends the file from its beginning.
      if (r.status == 206 && range_start(r) == have_) return true;
      if (r.status != 206) {
        if (have_ != 0) failed = start_over();
        return failed.ok();
      }
      failed = make_error(ErrorCode::kCorruptData, file_.url + " sends another range than was asked for",
                          file_.url);
      return false;
    };
    sink.data = [&](std::span<const std::byte> bytes) {
      if (bytes.size() > file_.size - have_) {
        failed = make_error(ErrorCode::kCorruptData,
                            file_.path + ": the server sends more than the " + std::to_string(file_.size) +
                                " bytes that it names",
                            file_.path);
        return false;
      }
      failed = out_->write_at(have_, bytes);
      if (!failed.ok()) return false;
      if (digest_) digest_->update(bytes);
      have_ += bytes.size();
      progress_(have_, bytes.size());
      return true;
    };
    const Result<HttpResponse> response = api_.http().send(request, sink);
    KVASIR_RETURN_IF_ERROR(failed);
    if (!response.ok()) return response.error();
    if (response->status == 416 && have_ != 0) return start_over();  // the remnant is none of this file
    if (response->status / 100 == 2) return {};
    retry_after = response->header("retry-after");
    return hub_error(*response, file_.path, api_.settings());
  }

  HubApi& api_;
  const RemoteFile& file_;
  const std::string& blobs_;
  const std::string path_;
  const BlobProgress& progress_;
  std::unique_ptr<File> out_;
  std::unique_ptr<Digest> digest_;  // of what is there; null where the etag is no hash
  std::uint64_t have_ = 0;
};

}  // namespace

Status download_blob(HubApi& api, const RemoteFile& file, const std::string& blobs,
                     const BlobProgress& progress) {
  return BlobDownload(api, file, blobs, progress).run();
}

}  // namespace kvasir::hub
