/* A webcam for tests: preloaded into a program, it puts a device of Video4Linux at the path in FAKE_CAMERA.

   It gives YUYV as most webcams do, 100 frames a second, in three sizes. Each frame says its number, from 0, in the
   blocks of rtsp_server.numbered_image. While the file in FAKE_CAMERA_FAULT exists it holds one word: "unplugged" (the
   device is gone), "silent" (no frame comes) or "busy" (another program has it). */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MOST_BUFFERS 8
#define MOST_BYTES (1280 * 720 * 2)

static int device = -1, memory = -1, width = 640, height = 480, queued[MOST_BUFFERS], queue_length;
static uint32_t frames;

static int has_fault(const char *fault) {
    const char *path = getenv("FAKE_CAMERA_FAULT");
    char word[32] = "";
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) return 0;
    if (!fgets(word, sizeof word, file)) word[0] = 0;
    fclose(file);
    return strcmp(word, fault) == 0;
}

static int fail(int reason) {
    errno = reason;
    return -1;
}

/* What waits for the device is woken for each frame, unless it is silent. */
static void set_timer(int is_opened) {
    static int was_silent;
    int is_silent = has_fault("silent");
    if (!is_opened && is_silent == was_silent) return;
    was_silent = is_silent;
    long pause_ns = is_silent ? 0 : 10000000;
    struct itimerspec every = {{0, pause_ns}, {0, pause_ns}};
    timerfd_settime(device, 0, &every, NULL);
}

static int open_device(void) {
    if (has_fault("unplugged")) return fail(ENOENT);
    int opened = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    device = opened;
    set_timer(1);
    queue_length = 0;
    return opened;
}

#define OPEN(name)                                                                  \
    int name(const char *path, int flags, ...) {                                    \
        static int (*really)(const char *, int, ...);                               \
        if (!really) really = dlsym(RTLD_NEXT, #name);                              \
        const char *fake = getenv("FAKE_CAMERA");                                   \
        va_list more;                                                               \
        va_start(more, flags);                                                      \
        int mode = va_arg(more, int);                                               \
        va_end(more);                                                               \
        return fake && strcmp(path, fake) == 0 ? open_device() : really(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

int close(int handle) {
    static int (*really)(int);
    if (!really) really = dlsym(RTLD_NEXT, "close");
    if (handle == device) device = -1;
    return really(handle);
}

static void *map(void *address, size_t length, int protection, int flags, int handle, off_t offset, const char *name) {
    void *(*really)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, name);
    if (handle == device && device != -1) {
        if (memory == -1) {
            memory = memfd_create("buffers", 0);
            if (ftruncate(memory, (off_t)MOST_BUFFERS * MOST_BYTES)) return MAP_FAILED;
        }
        handle = memory;
    }
    return really(address, length, protection, flags, handle, offset);
}

void *mmap(void *address, size_t length, int protection, int flags, int handle, off_t offset) {
    return map(address, length, protection, flags, handle, offset, "mmap");
}

void *mmap64(void *address, size_t length, int protection, int flags, int handle, off_t offset) {
    return map(address, length, protection, flags, handle, offset, "mmap64");
}

static void draw(int buffer) {
    size_t bytes = (size_t)width * height * 2;
    static uint8_t image[MOST_BYTES];
    for (int row = 0; row < height; row++)
        for (int column = 0; column < width; column++) {
            uint8_t *pixel = image + ((size_t)row * width + column) * 2;
            int is_block = row < 16 && column < 256;
            /* red 200, green 90, blue 30 in BT.601 */
            pixel[0] = is_block ? (frames >> (column / 16) & 1 ? 235 : 16) : 115;
            pixel[1] = is_block ? 128 : column % 2 ? 182 : 83;
        }
    if (pwrite(memory, image, bytes, (off_t)buffer * MOST_BYTES) != (ssize_t)bytes) abort();
}

static void set_format(struct v4l2_format *format) {
    static const int sizes[][2] = {{320, 240}, {640, 480}, {1280, 720}};
    int best = 0;
    for (int index = 0; index < 3; index++)
        if (abs(sizes[index][0] - (int)format->fmt.pix.width) < abs(sizes[best][0] - (int)format->fmt.pix.width)) best = index;
    width = sizes[best][0];
    height = sizes[best][1];
}

static int request(unsigned long kind, void *argument) {
    switch (kind) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *answer = argument;
        memset(answer, 0, sizeof *answer);
        strcpy((char *)answer->driver, "fake");
        strcpy((char *)answer->card, "A camera of the tests");
        answer->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING | V4L2_CAP_DEVICE_CAPS;
        answer->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    }
    case VIDIOC_G_INPUT:
        *(int *)argument = 0;
        return 0;
    case VIDIOC_S_INPUT:
        return 0;
    case VIDIOC_ENUMINPUT: {
        struct v4l2_input *input = argument;
        if (input->index) return fail(EINVAL);
        input->type = V4L2_INPUT_TYPE_CAMERA;
        return 0;
    }
    case VIDIOC_S_FMT:
        if (has_fault("busy")) return fail(EBUSY);
        set_format(argument); /* fall through */
    case VIDIOC_TRY_FMT:
    case VIDIOC_G_FMT: {
        struct v4l2_format *format = argument;
        format->fmt.pix.width = width;
        format->fmt.pix.height = height;
        format->fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
        format->fmt.pix.field = V4L2_FIELD_NONE;
        format->fmt.pix.bytesperline = width * 2;
        format->fmt.pix.sizeimage = width * height * 2;
        return 0;
    }
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM: {
        struct v4l2_streamparm *parameters = argument;
        parameters->parm.capture.timeperframe.numerator = 1;
        parameters->parm.capture.timeperframe.denominator = 100;
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *wanted = argument;
        if (wanted->memory != V4L2_MEMORY_MMAP) return fail(EINVAL);
        if (wanted->count > MOST_BUFFERS) wanted->count = MOST_BUFFERS;
        return 0;
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        buffer->length = MOST_BYTES;
        buffer->m.offset = buffer->index * MOST_BYTES;
        return 0;
    }
    case VIDIOC_QBUF:
        queued[queue_length++] = ((struct v4l2_buffer *)argument)->index;
        return 0;
    case VIDIOC_DQBUF: {
        struct v4l2_buffer *buffer = argument;
        uint64_t ticks;
        if (read(device, &ticks, sizeof ticks) < 0 || !queue_length) return fail(EAGAIN);
        buffer->index = queued[0];
        memmove(queued, queued + 1, --queue_length * sizeof *queued);
        draw(buffer->index);
        buffer->length = MOST_BYTES;
        buffer->bytesused = width * height * 2;
        buffer->sequence = frames++;
        buffer->flags = 0;
        return 0;
    }
    case VIDIOC_STREAMON:
        frames = 0;
        return 0;
    case VIDIOC_STREAMOFF:
        queue_length = 0;
        return 0;
    }
    return fail(EINVAL);
}

int ioctl(int handle, unsigned long kind, ...) {
    static int (*really)(int, unsigned long, ...);
    if (!really) really = dlsym(RTLD_NEXT, "ioctl");
    va_list more;
    va_start(more, kind);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (handle != device || device == -1) return really(handle, kind, argument);
    if (has_fault("unplugged")) return fail(ENODEV);
    if (kind == VIDIOC_DQBUF || kind == VIDIOC_STREAMON) set_timer(0);
    return request(kind & 0xFFFFFFFF, argument);
}
