// SPDX-License-Identifier: LGPL-2.1-or-later
/* /dev/vmo: opening it, what the module can do, and what to do if it is not there. */
#include <errno.h>
#include <fcntl.h>

#include "private.h"

static int open_node(int mode)
{
	int fd;

	do
		fd = open("/dev/vmo", mode | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	/* No node, and a node that nothing is behind: the same to the caller. */
	if (fd < 0 && (errno == ENOENT || errno == ENXIO))
		errno = ENODEV;
	return fd;
}

/* What does not know the command, or only a longer form of it, is no module of ours. */
static int check_abi(int dev)
{
	struct vmo_probe probe;

	if (vmo_device_probe(dev, &probe, sizeof(probe))) {
		if (errno == ENOTTY || errno == EINVAL)
			errno = EPROTONOSUPPORT;
		return -1;
	}
	if (probe.abi == VMO_ABI_VERSION)
		return 0;
	errno = EPROTONOSUPPORT;
	return -1;
}

VMO_API int vmo_device_open(void)
{
	int fd = open_node(O_RDWR);

	if (fd < 0 || !check_abi(fd))
		return fd;
	vmo_close_quietly(fd);
	return -1;
}

VMO_API int vmo_device_open_readonly(void)
{
	return open_node(O_RDONLY);
}

VMO_API int vmo_device_probe(int dev, struct vmo_probe *probe, size_t size)
{
	return vmo_ask(dev, VMO_PROBE, probe, size);
}

VMO_API int vmo_device_stats(int dev, struct vmo_stats *stats, size_t size)
{
	return vmo_ask(dev, VMO_STATS, stats, size);
}

VMO_API const char *vmo_device_explain(int err)
{
	switch (err) {
	case 0:
		return "Nothing is wrong with /dev/vmo.";
	case ENODEV:
		return "There is no /dev/vmo: load the module, as root, with 'modprobe vmo'; "
		       "a container has to be given the device, too.";
	case EACCES:
	case EPERM:
		return "This user may not open /dev/vmo: be root, or a member of the group of "
		       "the node (see 'ls -l /dev/vmo'), such as vmo; a container has to be "
		       "allowed the device, too.";
	case EPROTONOSUPPORT:
		return "The vmo module that is loaded speaks another version of the interface "
		       "than this libvmo: update the module or the library, whichever is older, "
		       "and load the module anew.";
	case EMFILE:
	case ENFILE:
		return "Too many files are open to open /dev/vmo: close some, or raise the limit "
		       "('ulimit -n', or fs.file-max).";
	case ENOMEM:
		return "There is not enough memory to open /dev/vmo: free some, or raise the limit "
		       "of the memory cgroup.";
	default:
		return "/dev/vmo does not open for a reason that is not the module's: look up the "
		       "errno, and see 'ls -l /dev/vmo' and dmesg.";
	}
}
