// Threads that are refused a file at the same time, beneath templates and inlined members.
#include <fcntl.h>
#include <string>
#include <thread>
#include <vector>

namespace app {

class Config {
      public:
	explicit Config(const char *path) : path_(path) {}
	__attribute__((noinline)) int read() const
	{
		int fd = load();

		asm volatile("" ::: "memory");
		return fd;
	}

      private:
	__attribute__((always_inline)) int load() const
	{
		return ::open(path_.c_str(), O_RDONLY); /* LINE load */
	}
	std::string path_;
};

} // namespace app

int main(int argc, char **argv)
{
	std::vector<std::thread> threads;

	for (int i = 0; i < 4; i++)
		threads.emplace_back([=] {
			app::Config config(argc > 1 ? argv[1] : "");
			config.read();
		});
	for (auto &thread : threads)
		thread.join();
	return 0;
}
