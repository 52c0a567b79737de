// The memory that a call works in: one block, cut into cache-line aligned arrays.
#pragma once

#include <cstdlib>
#include <cstring>
#include <dsmfast/kernels.hpp>
#include <new>

namespace dsmfast::DSMFAST_ISA {

template <typename T>
void copy(const T* from, Index count, T* to) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}

template <typename T>
void clear(T* array, Index count) {
  std::memset(array, 0, static_cast<std::size_t>(count) * sizeof(T));
}

// Cuts arrays off a block. One without a block measures: what is carved of it is null, and `used`
// says what it takes.
struct Arena {
  char* block = nullptr;
  Index used = 0;

  // Zeros, where the block is new.
  template <typename T>
  T* take(Index count) {
    return reinterpret_cast<T*>(cut(count * static_cast<Index>(sizeof(T))));
  }

  // Not inlined: calls are many.
  __attribute__((noinline)) char* cut(Index bytes) {
    char* array = block == nullptr ? nullptr : block + used;
    used += (bytes + 63) / 64 * 64;
    return array;
  }

  // Arrays of the same size.
  template <typename... T>
  void take(Index count, T*&... arrays) {
    ((arrays = take<T>(count)), ...);
  }

  // An object of a class.
  template <typename T>
  T* make() {
    T* place = take<T>(1);
    return place == nullptr ? nullptr : new (place) T{};
  }
};

// The scratch of each thread, one after the other.
struct ThreadArenas {
  Arena first;
  Index bytes = 0;

  template <typename Scratch, typename... Sizes>
  static ThreadArenas carve(Arena& arena, int threads, const Sizes&... sizes) {
    const Arena first = arena;
    Scratch::carve(arena, sizes...);
    const Index bytes = arena.used - first.used;
    arena.used = first.used + threads * bytes;
    return {first, bytes};
  }

  template <typename Scratch, typename... Sizes>
  Scratch of_thread(int rank, const Sizes&... sizes) const {
    Arena mine{first.block, first.used + rank * bytes};
    return Scratch::carve(mine, sizes...);
  }
};

// Memory for the length of a call, or the caller's, which an earlier call left.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    if (kept_ == nullptr) std::free(block_);
  }

  // Calls carve(Arena&) to measure, and again with zeroed memory. Whether there was enough.
  template <typename Carve>
  bool reserve(const Carve& carve) {
    if (!allocate(place(nullptr, 0, carve))) return false;
    place(block_, 0, carve);
    return true;
  }

  // The same of memory that the caller keeps. It is cleared, unless it was last carved by the same
  // sizes: these stand at its beginning, and are compared whole.
  template <typename Sizes, typename Carve>
  bool reserve(const Sizes& sizes, KeptMemory* kept, const Carve& carve) {
    static_assert(__has_unique_object_representations(Sizes), "padding would be compared");
    if (kept == nullptr) return reserve(carve);
    kept_ = kept;
    if (!kept->intact || std::memcmp(kept->block, &sizes, sizeof sizes) != 0) {
      std::free(kept->block);
      *kept = {nullptr, false};
      if (!allocate(place(nullptr, sizeof sizes, carve))) return false;
      std::memcpy(block_, &sizes, sizeof sizes);
      *kept = {block_, true};
    }
    block_ = kept->block;
    place(block_, sizeof sizes, carve);
    return true;
  }

  // What it holds is not to be relied on.
  void spoil() {
    if (kept_ != nullptr) kept_->intact = false;
  }

 private:
  bool allocate(Index bytes) {
    block_ = std::calloc(static_cast<std::size_t>(bytes) + 64, 1);
    return block_ != nullptr;
  }

  // Carves a block but for its first `head` bytes, from a cache line on; null is measured. Not inlined:
  // it would be so for each use.
  template <typename Carve>
  static __attribute__((noinline)) Index place(void* block, Index head, const Carve& carve) {
    const auto begin = reinterpret_cast<std::uintptr_t>(block) + static_cast<std::uintptr_t>(head);
    Arena arena{static_cast<char*>(block), head + static_cast<Index>((64 - begin % 64) % 64)};
    carve(arena);
    return arena.used;
  }

  void* block_ = nullptr;
  KeptMemory* kept_ = nullptr;
};

}  // namespace dsmfast::DSMFAST_ISA
