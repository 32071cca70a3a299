// POSIX mapping of a file; see mapped_file.h. Opened non-blocking so that a FIFO is refused instead of waited for.
#include "engine/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "engine/error.h"

namespace toolgrad {

namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

struct Descriptor {
  int fd;
  ~Descriptor() { ::close(fd); }
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  if (path.find('\0') != std::string::npos) throw Error("ERR_FILE_NOT_FOUND", "a file path cannot contain a NUL byte");
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    const int error = errno;
    throw Error(error == ENOENT ? "ERR_FILE_NOT_FOUND" : "ERR_FILE_IO", path + ": cannot open: " + reason(error));
  }
  const Descriptor closer{fd};
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw Error("ERR_FILE_IO", path + ": cannot stat: " + reason(errno));
  if (!S_ISREG(status.st_mode)) throw Error("ERR_FILE_IO", path + ": expected a regular file");

  std::shared_ptr<MappedFile> file(new MappedFile());
  file->path_ = path;
  file->size_ = static_cast<uint64_t>(status.st_size);
  if (file->size_ == 0) return file;
  void* mapping = ::mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, fd, 0);
  if (mapping == MAP_FAILED) {
    throw Error("ERR_FILE_IO", path + ": cannot map " + std::to_string(file->size_) + " bytes: " + reason(errno));
  }
  file->mapping_ = mapping;
  file->data_ = static_cast<const uint8_t*>(mapping);
  return file;
}

std::shared_ptr<const MappedFile> MappedFile::from_bytes(std::vector<uint8_t> bytes, std::string label) {
  std::shared_ptr<MappedFile> file(new MappedFile());
  file->path_ = std::move(label);
  file->owned_ = std::move(bytes);
  file->data_ = file->owned_.data();
  file->size_ = file->owned_.size();
  return file;
}

void MappedFile::done_with(const uint8_t* first, uint64_t bytes) const {
  if (mapping_ == nullptr) return;
  // From the page that `first` lies in, whose beginning was read before, to the last whole page. Advice only.
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto offset = static_cast<uint64_t>(first - data_);
  const uint64_t begin = offset / page * page, end = (offset + bytes) / page * page;
  if (end > begin) static_cast<void>(::madvise(static_cast<uint8_t*>(mapping_) + begin, end - begin, MADV_DONTNEED));
}

MappedFile::~MappedFile() {
  if (mapping_ != nullptr) ::munmap(mapping_, size_);
}

}  // namespace toolgrad
