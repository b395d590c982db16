// A program that knows nothing of Gradweave: loads the plugin, has it work on a thread that ends, unloads it.
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <initializer_list>
#include <thread>

int main(int, char** arguments) {
  using namespace std::chrono_literals;
  constexpr long long size = 1 << 22;  // large enough for two threads
  for (const char* name : {"plugin_count", "plugin_evaluate", "plugin_count"}) {
    void* plugin = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr) {
      std::puts(dlerror());
      return 1;
    }
    const auto function = reinterpret_cast<long long (*)(long long)>(dlsym(plugin, name));
    long long result = 0;
    std::thread([&] { result = function(size); }).join();
    if (result != size) {
      std::printf("host: %s gives %lld\n", name, result);
      return 1;
    }
    dlclose(plugin);
    std::this_thread::sleep_for(20ms);  // the workers go on looking for work
  }
  std::puts("host: ok");
}
