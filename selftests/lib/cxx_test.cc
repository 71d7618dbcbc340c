// SPDX-License-Identifier: GPL-2.0
// <vmo.h> as C++11 sees it: functions and structures of the same names, by name mangling
// and linking as well as by grammar.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>
#include <vmo.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

struct closer {
	void operator()(struct vmo *v) const { vmo_close(v); }
};

using object = std::unique_ptr<struct vmo, closer>;

int tests, bad;

void check(bool good, const char *what)
{
	std::printf("%sok %d cxx: %s\n", good ? "" : "not ", ++tests, what);
	bad += !good;
}

constexpr uint64_t size = 1 << 20;

void snapshots(const object &parent)
{
	char *mem = static_cast<char *>(vmo_map(parent.get(), 0, size, PROT_READ | PROT_WRITE));
	struct vmo_info info;
	char old[8] = "";

	check(mem != nullptr, "vmo_map");
	if (!mem)
		return;
	std::strcpy(mem, "before");
	object child(vmo_clone(parent.get(), 0, size, VMO_CLONE_SNAPSHOT));
	object whole(vmo_snapshot(parent.get()));
	std::strcpy(mem, "after");
	check(child && vmo_read(child.get(), old, sizeof(old), 0, 0) == sizeof(old) &&
	      !std::strcmp(old, "before"), "vmo_clone, the function, beside struct vmo_clone");
	check(whole && !vmo_info(whole.get(), &info, sizeof(info)) &&
	      info.flags == VMO_INFO_COW_CLONE && info.content_size == size,
	      "vmo_info, the function, fills struct vmo_info");
	munmap(mem, size);
}

void windows(const object &parent)
{
	object slice(vmo_slice(parent.get(), 4096, 4096, 0));
	object reference(vmo_reference(parent.get(), 0));
	struct vmo_slice raw = {};
	char got[4] = "";

	raw.size = 4096;
	check(slice && reference && vmo_write(slice.get(), "abc", 4, 0, 0) == 4 &&
	      vmo_read(reference.get(), got, 4, raw.size, 0) == 4 && !std::strcmp(got, "abc"),
	      "vmo_slice and vmo_reference share the memory");
	check(!vmo_slice(parent.get(), size, 4096, 0) && errno == EINVAL, "errno arrives");
}

// The second page moves to the fourth; all else of the object is holes.
void pages(const object &parent)
{
	uint64_t offset = 0, length = size;
	struct vmo_page_run run[4];
	struct vmo_lookup_entry entry[4];
	struct vmo_range range[4];
	struct vmo_usage usage;
	object twin(vmo_clone(parent.get(), 0, size, VMO_CLONE_AT_LEAST_ON_WRITE));

	check(twin && !vmo_zero(twin.get(), 0, size) &&
	      vmo_write(twin.get(), "abc", 4, 4096, 0) == 4 &&
	      !vmo_transfer(twin.get(), 3 * 4096, twin.get(), 4096, 4096),
	      "vmo_transfer, the function, beside struct vmo_transfer");
	check(vmo_pages(twin.get(), &offset, &length, run, 4) == 3 && !length &&
	      run[1].offset == 3 * 4096 && run[1].state & VMO_PAGE_PRESENT, "vmo_pages");
	offset = 0, length = size;
	check(vmo_lookup(twin.get(), &offset, &length, entry, 4, 0) == 1 && !length &&
	      entry[0].offset == 3 * 4096, "vmo_lookup");
	offset = 0, length = 4 * 4096;
	check(vmo_diff(twin.get(), twin.get(), &offset, &length, range, 4) == 0 && !length,
	      "vmo_diff");
	check(!vmo_usage(twin.get(), 0, size, &usage, sizeof(usage)) &&
	      usage.committed_bytes == 4096, "vmo_usage");
}

void harvests(const object &parent)
{
	uint64_t offset = 0, length = UINT64_MAX;
	vmo_reaper *reaper = vmo_reaper_new(parent.get());
	struct vmo_range range[2];
	struct vmo_harvest raw = {};

	check(reaper && vmo_write(parent.get(), "x", 1, 4096, 0) == 1 &&
	      vmo_harvest(reaper, &offset, &length, range, 2, raw.flags) == 1 &&
	      range[0].offset == 4096, "vmo_harvest, the function, beside struct vmo_harvest");
	vmo_reaper_close(reaper);
}

void rights(const object &parent)
{
	object reader(vmo_restrict(parent.get(), VMO_RIGHT_READ));
	struct vmo_restrict raw = {};

	check(reader && vmo_write(reader.get(), "x", 1, raw.flags, 0) == -1 && errno == EACCES,
	      "vmo_restrict");
}

void module()
{
	int dev = vmo_device_open_readonly();
	struct vmo_stats stats;

	check(!vmo_device_stats(dev, &stats, sizeof(stats)) && stats.object_count,
	      "vmo_device_stats fills struct vmo_stats");
	close(dev);
}

void threads(const object &parent)
{
	std::vector<std::thread> all;
	std::vector<int> good(3);

	for (unsigned i = 0; i < good.size(); i++)
		all.emplace_back([&, i] {
			unsigned out = i, in = ~i;

			good[i] = vmo_write(parent.get(), &out, sizeof(out), i * 8192, 0) == 4 &&
				  vmo_read(parent.get(), &in, sizeof(in), i * 8192, 0) == 4 &&
				  in == out;
		});
	for (auto &thread : all)
		thread.join();
	check(good[0] && good[1] && good[2], "std::thread, one struct vmo");
}

} // namespace

int main()
{
	object parent(vmo_create(-1, size, 0, "c++"));

	if (!parent) {
		check(false, vmo_device_explain(errno));
		return 1;
	}
	check(!std::strcmp(vmo_library_version(), WANT_VERSION), "vmo_library_version");
	snapshots(parent);
	windows(parent);
	pages(parent);
	harvests(parent);
	rights(parent);
	module();
	threads(parent);
	std::printf("1..%d\n", tests);
	return bad ? 1 : 0;
}
