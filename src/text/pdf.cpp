#include "text/pdf.h"

#include <csignal>
#include <cstdio>

#include "base/confined_process.h"
#include "text/ffi.h"

namespace kvasir::text {
namespace {

using namespace std::chrono_literals;

// A page of a real file takes some milliseconds and a few megabytes.
constexpr auto kProcessorTime = 20s;
constexpr auto kTime = 120s;  // on a machine that is busy with other things
constexpr std::size_t kMemoryMiB = 512;

// Exit codes of the worker: its output is the text, or a sentence and whose fault it is.
enum : int { kRead = 0, kCorrupt = 10, kUnsupported = 11, kInvalid = 12, kBroken = 13 };

int exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kCorruptData:
      return kCorrupt;
    case ErrorCode::kUnsupported:
      return kUnsupported;
    case ErrorCode::kInvalidArgument:
      return kInvalid;
    default:
      return kBroken;
  }
}

Error error_of_exit(int exit_code, std::string output) {
  constexpr int kSignalled = 128;
  switch (exit_code) {
    case kCorrupt:
      return make_error(ErrorCode::kCorruptData, std::move(output));
    case kUnsupported:
      return make_error(ErrorCode::kUnsupported, std::move(output));
    case kInvalid:
      return make_error(ErrorCode::kInvalidArgument, std::move(output));
    case kSignalled + SIGXCPU:
    case kSignalled + SIGKILL:
      return make_error(ErrorCode::kInvalidArgument, "could not process PDF: reading it takes more than " +
                                                         std::to_string(kProcessorTime.count()) +
                                                         " seconds.");
    case kSignalled + SIGABRT:
      return make_error(ErrorCode::kInvalidArgument, "could not process PDF: reading it takes more than " +
                                                         std::to_string(kMemoryMiB) + " MiB of memory.");
    case kSignalled + SIGSEGV:
    case kSignalled + SIGBUS:
      return make_error(ErrorCode::kCorruptData, "The PDF specified was not valid: it is nested too deeply.");
    default:
      return make_error(ErrorCode::kCorruptData,
                        "The PDF specified was not valid: its reader ended with exit code " +
                            std::to_string(exit_code) + ".");
  }
}

std::string read_input() {
  std::string bytes;
  std::string buffer(std::size_t{1} << 16U, '\0');
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), stdin)) bytes.append(buffer, 0, n);
  return bytes;
}

}  // namespace

Result<std::string> pdf_text(std::string_view pdf) {
  kvt_buffer text{};
  kvt_buffer words{};
  const kvt_status status = kvt_pdf_text(ffi::text_of(pdf), kPdfPagesMax, kPdfTextBytesMax, &text, &words);
  if (status != KVT_OK) return ffi::error_of(status, words, "");
  return ffi::take(text);
}

Result<std::string> read_pdf(const std::vector<std::string>& worker, std::string_view pdf,
                             const std::atomic<bool>* cancelled) {
  // Page marks may stand beside a text that is as long as it may be.
  KVASIR_ASSIGN_OR_RETURN(ConfinedResult done,
                          run_confined(worker, pdf, {kTime, 2 * kPdfTextBytesMax, cancelled}));
  switch (done.end) {
    case ConfinedResult::End::kExited:
      break;
    case ConfinedResult::End::kTimedOut:
      return make_error(ErrorCode::kUnavailable, "the machine is too busy to read a PDF now; try again");
    case ConfinedResult::End::kCancelled:
      return make_error(ErrorCode::kUnavailable, "the server is stopping");
    case ConfinedResult::End::kTooMuchOutput:
      return make_error(ErrorCode::kInternal, "the reader of PDFs wrote more than it may");
  }
  if (done.exit_code != kRead) return error_of_exit(done.exit_code, std::move(done.output));
  return std::move(done.output);
}

std::optional<int> run_pdf_worker(int argc, const char* const* argv) {
  if (argc != 2 || std::string_view(argv[1]) != kPdfWorker) return std::nullopt;
  limit_processor_time(kProcessorTime);
  const std::string pdf = read_input();
  kvt_memory_confine(kMemoryMiB << 20U);
  const Result<std::string> text = pdf_text(pdf);
  const std::string& said = text.ok() ? *text : text.error().message;
  const bool written = std::fwrite(said.data(), 1, said.size(), stdout) == said.size();
  if (std::fflush(stdout) != 0 || !written) return kBroken;
  return text.ok() ? kRead : exit_code_of(text.error().code);
}

}  // namespace kvasir::text
