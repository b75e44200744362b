// libnvrtc of the stand-in: a C++ compiler makes a shared library of each kernel, whose bytes are the "cubin".

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <string>
#include <vector>

namespace fs = std::filesystem;

enum { SUCCESS = 0, INVALID_PROGRAM = 4, COMPILATION = 6, UNKNOWN_NAME = 10 };

struct Program {
    std::string source, log, binary;
    std::map<std::string, std::string> headers;       // by the names that #include has
    std::map<std::string, std::string> instantiated;  // name expression -> name in the binary
};

static std::string content(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// The script beside lib/ that calls the compiler, with the options that every kernel has.
static std::string compiler() {
    Dl_info info;
    dladdr(reinterpret_cast<void*>(compiler), &info);
    return fs::canonical(info.dli_fname).parent_path().parent_path() / "compile";
}

// Dynamic shared memory is declared without a size: here it is what the launcher provides.
static std::string without_dynamic_arrays(const std::string& source) {
    static const std::regex dynamic(R"(extern\s+__shared__\s+([^;]+?)\s*(\w+)\s*\[\s*\]\s*;)");
    return std::regex_replace(source, dynamic, "$1* $2 = static_cast<$1*>(standin_shared);");
}

// What the launcher calls: an entry for every __global__ function that is no template, and for every name expression.
static std::string entries(Program& program) {
    static const std::regex kernel(
        R"(__global__\s+(?:void\s+)?(?:__launch_bounds__\s*\([^)]*\)\s*)?(?:void\s+)?([A-Za-z_]\w*)\s*\()");
    static const std::regex of_template(R"(\btemplate\b)");
    auto& source = program.source;
    std::string text;
    for (std::sregex_iterator match(source.begin(), source.end(), kernel), end; match != end; ++match) {
        size_t start = source.find_last_of(";}#", match->position()) + 1;  // 0 where there is none
        auto declaration = source.substr(start, match->position() - start);
        auto name = (*match)[1].str();
        if (!std::regex_search(declaration, of_template)) text += "STANDIN_KERNEL(" + name + ", " + name + ")\n";
    }
    int count = 0;
    for (auto& [expression, name] : program.instantiated) {
        name = "expression_" + std::to_string(count++);
        text += "STANDIN_KERNEL(" + name + ", " + expression + ")\n";
    }
    return text;
}

// Whether an option is one of C++ (the others are about GPUs), and no folder with NVIDIA's own headers.
static bool is_for_us(const std::string& option) {
    if (!option.rfind("-I", 0)) return !fs::exists(fs::path(option.substr(2)) / "cuda_runtime_api.h");
    for (auto start : {"-D", "-U", "-std", "--std", "-include"})
        if (!option.rfind(start, 0)) return true;
    return false;
}

static bool run(std::vector<std::string> command, const fs::path& log) {
    std::vector<char*> words;
    for (auto& word : command) words.push_back(word.data());
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t child;
    int failed = posix_spawn(&child, words[0], &actions, nullptr, words.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed) return false;
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return false;
    return !status;
}

static int size_of(const std::string& binary, size_t* size, size_t more) {
    *size = binary.size() + more;
    return binary.empty() ? INVALID_PROGRAM : SUCCESS;
}

extern "C" {

const char* nvrtcGetErrorString(int code) { return code == COMPILATION ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR"; }

int nvrtcVersion(int* major, int* minor) {
    *major = CUDA_MAJOR;
    *minor = CUDA_MAJOR == 12 ? 9 : 0;
    return SUCCESS;
}

int nvrtcGetNumSupportedArchs(int* count) {
    *count = 1;
    return SUCCESS;
}

int nvrtcGetSupportedArchs(int* archs) {
    *archs = 90;
    return SUCCESS;
}

int nvrtcCreateProgram(Program** program, const char* source, const char*, int count, const char** contents,
                       const char** names) {
    *program = new Program{source, {}, {}, {}, {}};
    for (int i = 0; i < count; i++) (*program)->headers[names[i]] = contents[i];
    return SUCCESS;
}

int nvrtcDestroyProgram(Program** program) {
    delete *program;
    *program = nullptr;
    return SUCCESS;
}

int nvrtcAddNameExpression(Program* program, const char* expression) {
    program->instantiated[expression];
    return SUCCESS;
}

int nvrtcGetLoweredName(Program* program, const char* expression, const char** name) {
    auto found = program->instantiated.find(expression);
    if (found == program->instantiated.end()) return UNKNOWN_NAME;
    *name = found->second.c_str();
    return SUCCESS;
}

int nvrtcCompileProgram(Program* program, int count, const char** options) {
    if (program->source.find_first_not_of(" \n\t") == std::string::npos) {
        program->binary = "// CPU stand-in\n";  // every CuPy process asks so for what tells this compiler from others
        return SUCCESS;
    }
    std::string pattern = fs::temp_directory_path() / "standin-XXXXXX";
    if (!mkdtemp(pattern.data())) return INVALID_PROGRAM;
    fs::path folder = pattern;
    for (auto& [name, text] : program->headers) {
        fs::create_directories((folder / name).parent_path());
        std::ofstream(folder / name) << text;
    }
    std::ofstream(folder / "kernels.cpp") << without_dynamic_arrays(program->source) << "\n" << entries(*program);
    std::vector<std::string> command = {compiler(), "-I", folder};
    for (int i = 0; i < count; i++)
        if (is_for_us(options[i])) command.push_back(options[i]);
    command.insert(command.end(), {folder / "kernels.cpp", "-o", folder / "kernels.so"});
    bool compiled = run(command, folder / "log");
    program->log = content(folder / "log");
    program->binary = content(folder / "kernels.so");
    if (!compiled && getenv("STANDIN_KEEP"))
        fprintf(stderr, "stand-in: %s\n%s\n", folder.c_str(), program->log.c_str());
    else
        fs::remove_all(folder);
    return compiled ? SUCCESS : COMPILATION;
}

int nvrtcGetProgramLogSize(Program* program, size_t* size) {
    *size = program->log.size() + 1;
    return SUCCESS;
}

int nvrtcGetProgramLog(Program* program, char* log) {
    memcpy(log, program->log.c_str(), program->log.size() + 1);
    return SUCCESS;
}

int nvrtcGetCUBINSize(Program* program, size_t* size) { return size_of(program->binary, size, 0); }
int nvrtcGetPTXSize(Program* program, size_t* size) { return size_of(program->binary, size, 1); }

int nvrtcGetCUBIN(Program* program, char* bytes) {
    memcpy(bytes, program->binary.data(), program->binary.size());
    return SUCCESS;
}

int nvrtcGetPTX(Program* program, char* bytes) {
    memcpy(bytes, program->binary.c_str(), program->binary.size() + 1);
    return SUCCESS;
}
}
