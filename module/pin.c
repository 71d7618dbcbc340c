// SPDX-License-Identifier: GPL-2.0
/*
 * Pins: pages that stay where they are until somebody closes a descriptor, and
 * who pays for them (layer L2).
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>

#include "object.h"

static atomic_long_t nr_pins = ATOMIC_LONG_INIT(0);

long vmo_pins_count(void)
{
	return atomic_long_read(&nr_pins);
}

/* Over all processes of the user, as io_uring and others count. */
static int charge(struct vmo_pin_range *pin)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	unsigned long pages = pin->last - pin->first + 1;
	struct user_struct *user;
	long old;

	if (capable(CAP_IPC_LOCK))
		return 0;
	user = current_user();
	old = atomic_long_read(&user->locked_vm);
	do {
		if (pages > limit || old > limit - pages)
			return -ENOMEM;
	} while (!atomic_long_try_cmpxchg(&user->locked_vm, &old, old + pages));
	pin->user = get_uid(user);
	return 0;
}

static void uncharge(struct vmo_pin_range *pin)
{
	if (!pin->user)
		return;
	atomic_long_sub(pin->last - pin->first + 1, &pin->user->locked_vm);
	free_uid(pin->user);
}

struct vmo_pin_range *vmo_pin_new(struct vmo *vmo, u64 offset, u64 length, bool write)
{
	struct vmo_pin_range *pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	int err;

	if (!pin)
		return ERR_PTR(-ENOMEM);
	pin->vmo = vmo;
	pin->first = vmo->base + (offset >> PAGE_SHIFT);
	pin->last = pin->first + (length >> PAGE_SHIFT) - 1;
	err = charge(pin);
	if (err)
		goto err_free;
	err = vmo_cow_pin(&vmo->content->cow, pin->first, pin->last, write);
	if (err)
		goto err_uncharge;
	atomic_long_inc(&nr_pins);
	if (write)
		vmo_content_modified(vmo->content);
	return pin;

err_uncharge:
	uncharge(pin);
err_free:
	kfree(pin);
	return ERR_PTR(err);
}

void vmo_pin_free(struct vmo_pin_range *pin)
{
	vmo_cow_unpin(&pin->vmo->content->cow, pin->first, pin->last);
	uncharge(pin);
	kfree(pin);
	atomic_long_dec(&nr_pins);
}
