// libcuda.so.1 of the stand-in: memory, streams, modules and kernel launches on the CPU.
//
// The CuPy wheels link the CUDA runtime statically, so that no other library can take its place. This library is
// therefore preloaded: it sees every dlopen, and in each extension module with a static runtime inside it makes every
// runtime function (found in the module's symbol table) jump to the function of the same name here.

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "index.h"

#define DRIVER(name) extern "C" int name
#define RUNTIME(name) extern "C" int standin_##name  // under another name: no other library shall find it

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
       NOT_FOUND = 500, NOT_READY = 600, NOT_SUPPORTED = 801 };
constexpr int VERSION = CUDA_MAJOR == 12 ? 12090 : 13000;
constexpr int COMPUTE_CAPABILITY = 9;
constexpr int MOST_THREADS = STANDIN_MOST_THREADS;
constexpr int MOST_DEVICES = 64;

using Handle = void*;
using Stream = Handle;
using Event = Handle;

template <class T, class V>
static int give(T* to, V value) {
    *to = value;
    return SUCCESS;
}

// ---------------------------------------------------------------------------------------------------------- errors

static thread_local int last_error = SUCCESS;

static int fail(int code) { return last_error = code; }
static int not_supported() { return fail(NOT_SUPPORTED); }

static const char* error_name(int code) {
    switch (code) {
        case SUCCESS: return "SUCCESS";
        case INVALID_VALUE: return "INVALID_VALUE";
        case OUT_OF_MEMORY: return "OUT_OF_MEMORY";
        case NO_DEVICE: return "NO_DEVICE";
        case INVALID_DEVICE: return "INVALID_DEVICE";
        case INVALID_IMAGE: return "INVALID_IMAGE";
        case NOT_FOUND: return "NOT_FOUND";
        case NOT_READY: return "NOT_READY";
        case NOT_SUPPORTED: return "NOT_SUPPORTED (the CPU stand-in has no such function)";
        default: return "UNKNOWN";
    }
}

DRIVER(cuGetErrorName)(int code, const char** name) { return give(name, error_name(code)); }
DRIVER(cuGetErrorString)(int code, const char** text) { return give(text, error_name(code)); }
extern "C" const char* standin_cudaGetErrorName(int code) { return error_name(code); }
extern "C" const char* standin_cudaGetErrorString(int code) { return error_name(code); }
RUNTIME(cudaPeekAtLastError)() { return last_error; }
RUNTIME(cudaGetLastError)() { return std::exchange(last_error, SUCCESS); }

// --------------------------------------------------------------------------------------------------------- devices

// One, or as many as CUDA_VISIBLE_DEVICES lists before the first entry that is not a number.
static int count_devices() {
    const char* visible = getenv("CUDA_VISIBLE_DEVICES");
    if (!visible) return 1;
    int count = 0;
    while (visible && isdigit(static_cast<unsigned char>(*visible)) && count < MOST_DEVICES) {
        count++;
        visible = strchr(visible, ',');
        if (visible) visible++;
    }
    return count;
}

static int devices() {
    static const int count = count_devices();
    return count;
}

static size_t capacity() {
    static const char* mebibytes = getenv("STANDIN_MEMORY_MIB");
    static const size_t bytes = (mebibytes ? strtoull(mebibytes, nullptr, 10) : 8192) << 20;
    return bytes;
}

static thread_local int current = 0;
static thread_local bool has_context = false;
static char contexts[MOST_DEVICES];  // a context is the address of its device's element

DRIVER(cuInit)(unsigned) { return SUCCESS; }
DRIVER(cuDriverGetVersion)(int* version) { return give(version, VERSION); }
RUNTIME(cudaDriverGetVersion)(int* version) { return give(version, VERSION); }
RUNTIME(cudaRuntimeGetVersion)(int* version) { return give(version, VERSION); }

DRIVER(cuDeviceGetCount)(int* count) { return give(count, devices()); }
DRIVER(cuDeviceGet)(int* device, int ordinal) { return give(device, ordinal); }
RUNTIME(cudaGetDeviceCount)(int* count) {
    *count = devices();
    return *count ? SUCCESS : fail(NO_DEVICE);
}
RUNTIME(cudaGetDevice)(int* device) { return give(device, current); }
RUNTIME(cudaProfilerStart)() { return SUCCESS; }
RUNTIME(cudaProfilerStop)() { return SUCCESS; }

RUNTIME(cudaSetDevice)(int device) {
    if (device < 0 || device >= devices()) return fail(INVALID_DEVICE);
    current = device;
    has_context = true;
    return SUCCESS;
}

DRIVER(cuCtxGetCurrent)(Handle* context) { return give(context, has_context ? &contexts[current] : nullptr); }
DRIVER(cuCtxGetDevice)(int* device) { return give(device, current); }
DRIVER(cuCtxSetCurrent)(Handle context) {
    has_context = context;
    if (context) current = static_cast<char*>(context) - contexts;
    return SUCCESS;
}
DRIVER(cuStreamGetCtx)(Stream, Handle* context) { return give(context, &contexts[current]); }
DRIVER(cuDevicePrimaryCtxRelease)(int) { return SUCCESS; }

constexpr int MOST_BLOCKS_X = 0x7fffffff, MOST_BLOCKS_YZ = 65535, MOST_THREADS_Z = 64;
constexpr int SHARED_MEMORY = 48 << 10, WARP = 32, MULTIPROCESSORS = 2;

static int attribute(int* value, int name) {
    switch (name) {
        case 1: case 2: case 3: return give(value, MOST_THREADS);  // threads of a block, and in x and y
        case 4: return give(value, MOST_THREADS_Z);
        case 5: return give(value, MOST_BLOCKS_X);
        case 6: case 7: return give(value, MOST_BLOCKS_YZ);
        case 8: case 97: return give(value, SHARED_MEMORY);        // of a block; where it asks for more
        case 10: return give(value, WARP);
        case 16: return give(value, MULTIPROCESSORS);
        case 39: return give(value, 2 * MOST_THREADS);             // threads of a multiprocessor
        case 41: return give(value, 1);                            // unified addressing
        case 75: return give(value, COMPUTE_CAPABILITY);           // its major part; the minor one is 0
        default: return give(value, 0);
    }
}

DRIVER(cuDeviceGetAttribute)(int* value, int name, int) { return attribute(value, name); }
RUNTIME(cudaDeviceGetAttribute)(int* value, int name, int) { return attribute(value, name); }

// How cudaDeviceProp begins; CUDA 13 has left two fields out.
struct Properties {
    char name[256], identity[32];
    size_t memory = capacity(), shared_memory = SHARED_MEMORY;
    int registers = 65536, warp = WARP;
    size_t pitch;
    int threads = MOST_THREADS, block[3] = {MOST_THREADS, MOST_THREADS, MOST_THREADS_Z};
    int grid[3] = {MOST_BLOCKS_X, MOST_BLOCKS_YZ, MOST_BLOCKS_YZ};
#if CUDA_MAJOR == 12
    int clock;
#endif
    size_t constant_memory = 64 << 10;
    int major = COMPUTE_CAPABILITY, minor;
    size_t texture_alignment, texture_pitch;
#if CUDA_MAJOR == 12
    int overlap;
#endif
    int multiprocessors = MULTIPROCESSORS;
};
static_assert(offsetof(Properties, memory) == 288 && offsetof(Properties, major) == 360);
constexpr size_t SIZE_OF_PROPERTIES = 1000;  // the real one is a little larger

static void name_device(char* text, size_t length, int device) { snprintf(text, length, "CPU stand-in %d", device); }
DRIVER(cuDeviceGetName)(char* text, int length, int device) {
    name_device(text, length, device);
    return SUCCESS;
}

static int properties(void* structure, int device) {
    if (device < 0 || device >= devices()) return fail(INVALID_DEVICE);
    Properties answer{};
    name_device(answer.name, sizeof answer.name, device);
    memset(structure, 0, SIZE_OF_PROPERTIES);
    memcpy(structure, &answer, sizeof answer);
    return SUCCESS;
}

RUNTIME(cudaGetDeviceProperties)(void* structure, int device) { return properties(structure, device); }
RUNTIME(cudaGetDeviceProperties_v2)(void* structure, int device) { return properties(structure, device); }
RUNTIME(cudaDeviceGetPCIBusId)(char* text, int length, int device) {
    snprintf(text, length, "0000:%02x:00.0", device);
    return SUCCESS;
}
RUNTIME(cudaDeviceCanAccessPeer)(int* can, int, int) { return give(can, 1); }
RUNTIME(cudaDeviceEnablePeerAccess)(int, unsigned) { return SUCCESS; }
RUNTIME(cudaDeviceDisablePeerAccess)(int) { return SUCCESS; }

// ------------------------------------------------------------------------------------------------------ waiting
//
// Everything is done when a call returns. But a device says that it is still at work until somebody has waited for it,
// so that a test can see who did not.

static std::atomic<bool> working[MOST_DEVICES];

static int queued(int code) {
    if (code == SUCCESS) working[current] = true;
    return code;
}
static int waited(int code) {
    working[current] = false;
    return code;
}

RUNTIME(cudaDeviceSynchronize)() { return waited(SUCCESS); }

// ---------------------------------------------------------------------------------------------------------- memory

enum Kind { UNKNOWN = 0, HOST = 1, DEVICE = 2, MANAGED = 3 };  // as cudaPointerGetAttributes tells them

struct Allocation {
    size_t size;
    int device;
    Kind kind;
};

static std::mutex memory_lock;
static std::map<const char*, Allocation> allocations;
static size_t used[MOST_DEVICES];

static int allocate(void** pointer, size_t size, Kind kind) {
    *pointer = nullptr;
    if (!size) return SUCCESS;
    {
        std::lock_guard guard(memory_lock);
        if (kind == DEVICE && size > capacity() - used[current]) return fail(OUT_OF_MEMORY);
        if (posix_memalign(pointer, 512, size)) return fail(OUT_OF_MEMORY);
        allocations[static_cast<char*>(*pointer)] = {size, current, kind};
        if (kind == DEVICE) used[current] += size;
    }
    memset(*pointer, 0xff, size);  // NaN: whoever reads what nobody wrote shall see it
    return SUCCESS;
}

static int release(void* pointer) {
    if (!pointer) return SUCCESS;
    std::lock_guard guard(memory_lock);
    auto found = allocations.find(static_cast<char*>(pointer));
    if (found == allocations.end()) return fail(INVALID_VALUE);
    auto& allocation = found->second;
    if (allocation.kind == DEVICE) used[allocation.device] -= allocation.size;
    allocations.erase(found);
    free(pointer);
    return SUCCESS;
}

RUNTIME(cudaMalloc)(void** pointer, size_t size) { return allocate(pointer, size, DEVICE); }
RUNTIME(cudaMallocAsync)(void** pointer, size_t size, Stream) { return allocate(pointer, size, DEVICE); }
RUNTIME(cudaMallocManaged)(void** pointer, size_t size, unsigned) { return allocate(pointer, size, MANAGED); }
RUNTIME(cudaHostAlloc)(void** pointer, size_t size, unsigned) { return allocate(pointer, size, HOST); }
RUNTIME(cudaFree)(void* pointer) { return release(pointer); }
RUNTIME(cudaFreeAsync)(void* pointer, Stream) { return release(pointer); }
RUNTIME(cudaFreeHost)(void* pointer) { return release(pointer); }
RUNTIME(cudaHostRegister)(void*, size_t, unsigned) { return SUCCESS; }
RUNTIME(cudaHostUnregister)(void*) { return SUCCESS; }
RUNTIME(cudaMemPrefetchAsync)() { return SUCCESS; }
RUNTIME(cudaMemAdvise)() { return SUCCESS; }

RUNTIME(cudaMemGetInfo)(size_t* available, size_t* total) {
    std::lock_guard guard(memory_lock);
    *total = capacity();
    *available = *total - used[current];
    return SUCCESS;
}

RUNTIME(cudaPointerGetAttributes)(void* structure, const char* pointer) {
    struct { int kind, device; const void *on_device, *on_host; } answer{UNKNOWN, -2, nullptr, pointer};
    std::lock_guard guard(memory_lock);
    auto next = allocations.upper_bound(pointer);
    if (next != allocations.begin()) {
        auto& [start, allocation] = *std::prev(next);
        if (pointer < start + allocation.size)
            answer = {allocation.kind, allocation.device, pointer, allocation.kind == DEVICE ? nullptr : pointer};
    }
    memcpy(structure, &answer, sizeof answer);
    return SUCCESS;
}

static int copy(void* to, const void* from, size_t size) {
    if (size && (!to || !from)) return fail(INVALID_VALUE);
    if (size) memmove(to, from, size);
    return SUCCESS;
}

static int copy_rows(char* to, size_t to_pitch, const char* from, size_t from_pitch, size_t width, size_t height) {
    for (size_t row = 0; row < height; row++) memmove(to + row * to_pitch, from + row * from_pitch, width);
    return SUCCESS;
}

static int fill(void* to, int value, size_t size) {
    memset(to, value, size);
    return SUCCESS;
}

RUNTIME(cudaMemcpy)(void* to, const void* from, size_t size, int) { return waited(copy(to, from, size)); }
RUNTIME(cudaMemcpyAsync)(void* to, const void* from, size_t size, int, Stream) { return queued(copy(to, from, size)); }
RUNTIME(cudaMemcpyPeer)(void* to, int, const void* from, int, size_t size) { return copy(to, from, size); }
RUNTIME(cudaMemcpyPeerAsync)(void* to, int, const void* from, int, size_t size, Stream) { return copy(to, from, size); }
RUNTIME(cudaMemset)(void* to, int value, size_t size) { return fill(to, value, size); }
RUNTIME(cudaMemsetAsync)(void* to, int value, size_t size, Stream) { return fill(to, value, size); }
RUNTIME(cudaMemcpy2D)(char* to, size_t tp, const char* from, size_t fp, size_t width, size_t height, int) {
    return copy_rows(to, tp, from, fp, width, height);
}
RUNTIME(cudaMemcpy2DAsync)(char* to, size_t tp, const char* from, size_t fp, size_t width, size_t height, int, Stream) {
    return copy_rows(to, tp, from, fp, width, height);
}

// ----------------------------------------------- streams and events: a device has one stream, whatever its name may be

using Clock = std::chrono::steady_clock;

RUNTIME(cudaStreamCreate)(Stream* stream) { return give(stream, new char); }
RUNTIME(cudaStreamCreateWithFlags)(Stream* stream, unsigned) { return give(stream, new char); }
RUNTIME(cudaStreamCreateWithPriority)(Stream* stream, unsigned, int) { return give(stream, new char); }
RUNTIME(cudaStreamDestroy)(Stream stream) {
    delete static_cast<char*>(stream);
    return SUCCESS;
}
RUNTIME(cudaStreamSynchronize)(Stream) { return waited(SUCCESS); }
RUNTIME(cudaStreamQuery)(Stream) { return working[current] ? NOT_READY : SUCCESS; }
RUNTIME(cudaStreamWaitEvent)(Stream, Event, unsigned) { return SUCCESS; }
RUNTIME(cudaStreamIsCapturing)(Stream, int* status) { return give(status, 0); }
RUNTIME(cudaStreamAddCallback)(Stream stream, void (*function)(Stream, int, void*), void* data, unsigned) {
    function(stream, SUCCESS, data);
    return SUCCESS;
}
RUNTIME(cudaLaunchHostFunc)(Stream, void (*function)(void*), void* data) {
    function(data);
    return SUCCESS;
}

RUNTIME(cudaEventCreate)(Event* event) { return give(event, new Clock::time_point); }
RUNTIME(cudaEventCreateWithFlags)(Event* event, unsigned) { return give(event, new Clock::time_point); }
RUNTIME(cudaEventDestroy)(Event event) {
    delete static_cast<Clock::time_point*>(event);
    return SUCCESS;
}
RUNTIME(cudaEventRecord)(Event event, Stream) { return give(static_cast<Clock::time_point*>(event), Clock::now()); }
RUNTIME(cudaEventQuery)(Event) { return SUCCESS; }
RUNTIME(cudaEventSynchronize)(Event) { return waited(SUCCESS); }
RUNTIME(cudaEventElapsedTime)(float* milliseconds, Event start, Event end) {
    auto passed = *static_cast<Clock::time_point*>(end) - *static_cast<Clock::time_point*>(start);
    return give(milliseconds, std::chrono::duration<float, std::milli>(passed).count());
}

// ------------------------------------------------------------------------------------- one block: threads as fibres
//
// A fibre runs one thread of the block after another for as long as none of them waits. Where one waits at a barrier
// its fibre is set aside, and another fibre goes on with the threads that have not started. When none is left to
// start, those that wait for their warp go on, or, if there are none, those that wait for their block.

extern "C" {
__thread uint3 threadIdx, blockIdx;
__thread dim3 blockDim, gridDim;
__thread void* standin_shared;
__thread char standin_exchange[STANDIN_MOST_THREADS][16];
void standin_switch(void** leave, void* enter);
}

// Keeps the registers that a call must not change on the stack that is left, and takes those of the other one.
asm(R"(
    .text
    .globl standin_switch
    .type standin_switch, @function
standin_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size standin_switch, .-standin_switch
)");

static void fibre_main();

class Fibre {
public:
    Fibre() {
        void* memory = mmap(nullptr, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED || mprotect(memory, GUARD, PROT_NONE)) {
            perror("stand-in: a stack for a thread of a block");
            abort();
        }
        stack = static_cast<char*>(memory);
        void** frame = reinterpret_cast<void**>(stack + SIZE) - 2;
        *frame = reinterpret_cast<void*>(fibre_main);  // what `ret` goes to, once six registers are restored
        top = frame - 6;
    }
    Fibre(const Fibre&) = delete;
    ~Fibre() { munmap(stack, SIZE); }

    void* top;
    uint3 thread{};
    bool for_warp = false;

private:
    static constexpr size_t SIZE = 256 << 10, GUARD = 4096;
    char* stack;
};

using Entry = void (*)(void**);

struct Block {
    Entry entry;
    void** arguments;
    unsigned threads, started = 0, finished = 0;
    uint3 next{};  // the thread to start
    void* scheduler = nullptr;
    Fibre* running = nullptr;
    std::vector<Fibre*> idle{}, waiting{};
};

static thread_local Block* block;
static thread_local std::vector<std::unique_ptr<Fibre>> fibres;  // kept from launch to launch

static void fibre_main() {
    for (;;) {
        while (block->started < block->threads) {
            block->started++;
            threadIdx = block->next;
            if (++block->next.x == blockDim.x) {
                block->next.x = 0;
                if (++block->next.y == blockDim.y) {
                    block->next.y = 0;
                    block->next.z++;
                }
            }
            block->entry(block->arguments);
            block->finished++;
        }
        Fibre* self = block->running;
        block->idle.push_back(self);
        standin_switch(&self->top, block->scheduler);
    }
}

static void resume(Fibre* fibre) {
    block->running = fibre;
    standin_switch(&block->scheduler, fibre->top);
}

static void wait(bool for_warp) {
    Fibre* self = block->running;
    self->thread = threadIdx;
    self->for_warp = for_warp;
    block->waiting.push_back(self);
    standin_switch(&self->top, block->scheduler);
    threadIdx = self->thread;
}

extern "C" void standin_sync_block() { wait(false); }
extern "C" void standin_sync_warp() { wait(true); }

static Fibre* idle_fibre() {
    if (block->idle.empty()) return fibres.emplace_back(std::make_unique<Fibre>()).get();
    Fibre* fibre = block->idle.back();
    block->idle.pop_back();
    return fibre;
}

static void run_block() {
    block->started = block->finished = 0;
    block->next = {};
    while (block->finished < block->threads) {
        if (block->started < block->threads) {
            resume(idle_fibre());
            continue;
        }
        auto waiting = std::exchange(block->waiting, {});
        bool warps = std::any_of(waiting.begin(), waiting.end(), [](Fibre* fibre) { return fibre->for_warp; });
        for (Fibre* fibre : waiting) {
            if (fibre->for_warp == warps) resume(fibre);
            else block->waiting.push_back(fibre);
        }
    }
}

static int launch(Entry entry, dim3 grid, dim3 threads, size_t shared, void** arguments) {
    size_t count = size_t(threads.x) * threads.y * threads.z;
    if (!count || count > MOST_THREADS || !grid.x || !grid.y || !grid.z) return fail(INVALID_VALUE);
    std::vector<std::max_align_t> dynamic(shared / sizeof(std::max_align_t) + 1);
    Block here{entry, arguments, unsigned(count)};
    for (auto& fibre : fibres) here.idle.push_back(fibre.get());
    block = &here;
    blockDim = threads;
    gridDim = grid;
    standin_shared = dynamic.data();
    for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) run_block();
    block = nullptr;
    return SUCCESS;
}

// --------------------------------------------------------------------------------------------- modules and launches

DRIVER(cuModuleLoadData)(Handle* module, const void* image) {
    if (memcmp(image, ELFMAG, SELFMAG)) return fail(INVALID_IMAGE);
    auto header = static_cast<const Elf64_Ehdr*>(image);
    size_t size = header->e_shoff + size_t(header->e_shnum) * header->e_shentsize;  // what an ELF file ends with
    // A file of its own: a second library of one name would be taken for the first.
    std::string path = std::filesystem::temp_directory_path() / "standin-XXXXXX";
    int file = mkstemp(path.data());
    if (file < 0) return fail(INVALID_IMAGE);
    bool written = write(file, image, size) == ssize_t(size);
    close(file);
    *module = written ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (!*module) fprintf(stderr, "stand-in: %s\n", written ? dlerror() : "cannot write a kernel's file");
    unlink(path.c_str());
    return *module ? SUCCESS : fail(INVALID_IMAGE);
}

DRIVER(cuModuleUnload)(Handle) { return SUCCESS; }  // kernels may hold thread-local storage: they stay

DRIVER(cuModuleGetFunction)(Handle* function, Handle module, const char* name) {
    *function = dlsym(module, (std::string("standin_kernel_") + name).c_str());
    return *function ? SUCCESS : fail(NOT_FOUND);
}

DRIVER(cuModuleGetGlobal)(Handle* pointer, size_t* size, Handle module, const char* name) {
    *pointer = dlsym(module, name);
    Dl_info info;
    ElfW(Sym)* symbol = nullptr;
    if (!*pointer || !dladdr1(*pointer, &info, reinterpret_cast<void**>(&symbol), RTLD_DL_SYMENT) || !symbol)
        return fail(NOT_FOUND);
    if (size) *size = symbol->st_size;
    return SUCCESS;
}

DRIVER(cuLaunchKernel)(Handle function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                       unsigned shared, Stream, void** arguments, void** extra) {
    if (extra) return not_supported();
    return queued(launch(reinterpret_cast<Entry>(function), {gx, gy, gz}, {bx, by, bz}, shared, arguments));
}

DRIVER(cuFuncGetAttribute)(int* value, int name, Handle) { return give(value, name == 0 ? MOST_THREADS : 0); }
DRIVER(cuFuncSetAttribute)(Handle, int, int) { return SUCCESS; }
DRIVER(cuOccupancyMaxActiveBlocksPerMultiprocessor)(int* blocks, Handle, int, size_t) { return give(blocks, 2); }
DRIVER(cuOccupancyMaxPotentialBlockSize)(int* grid, int* threads, Handle, size_t (*)(int), size_t, int most) {
    *grid = 2 * MULTIPROCESSORS;
    *threads = most ? most : 256;
    return SUCCESS;
}

// ---------------------------------------------------------------- putting ourselves in the place of a static runtime

// Whether this is the name of a function of the CUDA runtime; what tells that its default stream is the thread's own
// is cut off.
static bool is_runtime(std::string& name) {
    if (name.rfind("cuda", 0) || !isupper(static_cast<unsigned char>(name[4]))) return false;
    auto suffix = name.size() - 5;
    if (!name.compare(suffix, 5, "_ptds") || !name.compare(suffix, 5, "_ptsz")) name.resize(suffix);
    return true;
}

static void jump(char* code, void* target) {
    static const uintptr_t page = sysconf(_SC_PAGESIZE);
    unsigned char instruction[14] = {0xff, 0x25, 0, 0, 0, 0};  // jmp *0(%rip), followed by the address
    memcpy(instruction + 6, &target, sizeof target);
    auto first = reinterpret_cast<uintptr_t>(code) / page * page;
    auto length = reinterpret_cast<uintptr_t>(code) + sizeof instruction - first;
    if (mprotect(reinterpret_cast<void*>(first), length, PROT_READ | PROT_WRITE | PROT_EXEC)) {
        perror("stand-in: overwriting a function of the CUDA runtime");
        abort();
    }
    memcpy(code, instruction, sizeof instruction);
    mprotect(reinterpret_cast<void*>(first), length, PROT_READ | PROT_EXEC);
}

static void replace_runtime(char* base, const char* path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    struct stat info;
    void* mapped = fstat(file, &info) ? MAP_FAILED : mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (mapped == MAP_FAILED) return;
    auto image = static_cast<const char*>(mapped);
    auto header = reinterpret_cast<const Elf64_Ehdr*>(image);
    auto sections = reinterpret_cast<const Elf64_Shdr*>(image + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type != SHT_SYMTAB) continue;
        auto symbols = reinterpret_cast<const Elf64_Sym*>(image + sections[i].sh_offset);
        auto names = image + sections[sections[i].sh_link].sh_offset;
        for (size_t j = 0; j < sections[i].sh_size / sizeof *symbols; j++) {
            auto& symbol = symbols[j];
            std::string name = names + symbol.st_name;
            if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_size < 16 || !is_runtime(name)) continue;
            void* target = dlsym(RTLD_DEFAULT, ("standin_" + name).c_str());
            jump(base + symbol.st_value, target ? target : reinterpret_cast<void*>(not_supported));
        }
    }
    munmap(mapped, info.st_size);
}

extern "C" void* dlopen(const char* name, int flags) {
    static auto real = reinterpret_cast<void* (*)(const char*, int)>(dlsym(RTLD_NEXT, "dlopen"));
    static std::mutex lock;
    static std::set<std::string> seen;
    void* library = real(name, flags);
    if (!library || !name || !(strstr(name, "/cupy/") || strstr(name, "/cupy_backends/"))) return library;
    std::lock_guard guard(lock);
    link_map* map;
    if (seen.insert(name).second && !dlinfo(library, RTLD_DI_LINKMAP, &map))
        replace_runtime(reinterpret_cast<char*>(map->l_addr), map->l_name);
    return library;
}
