/*
 * A load generator that costs little and believes nothing: every answer's status, length and end are checked.
 *
 * usage: load [-g GREETING] MODE PORT ...
 *        load closed PORT REQUEST CONNECTIONS SECONDS STATUS LENGTH
 *            each connection sends the request again as soon as it is answered; LENGTH -1: any
 *        load events PORT REQUEST STREAMS EVENTS SECONDS
 *            each connection asks once, for a stream of EVENTS events (-1: any) that has to end, within SECONDS
 *        load hold PORT REQUEST
 *            opens streams and keeps them; reads lines: "open N" (until N are open and have had their first event),
 *            "stall N" (the same, but nothing is ever read), "end"
 *
 * REQUEST is a file of raw bytes, and so is GREETING: what each connection sends first, to have a 200 for it before
 * anything else, as a forward proxy wants it. What was found is printed as JSON, one line for a command.
 */
#include "common.h"
#include <poll.h>

#define MOST_ERRORS 1000
#define RAMP 64
#define PATIENCE_MS 20000
#define STALL_BUFFER 4096
#define ANY UINT32_MAX

enum state { CLOSED, CONNECTING, SENDING, HEAD, BODY };
enum framing { NONE, SIZED, CHUNK_SIZE, CHUNK_SKIP, CHUNK_DATA, CHUNK_END, TRAILER };
enum fault { NO_CONNECT, EARLY_CLOSE, BAD_HEAD, BAD_STATUS, BAD_LENGTH, BAD_EVENTS, LATE, FAULTS };
static const char *fault_names[] = {"connect", "closed", "head", "status", "length", "events", "late"};

struct connection {
    int fd;
    enum state state;
    enum framing framing;
    int closes, greeted;
    size_t sent, left, body, line;
    char *head;
    size_t head_size;
    unsigned events, matched; /* of "data:", of which so much has been seen */
    uint64_t began, at;
};

static int epoll_fd, is_stalling, counts_events;
static struct sockaddr_in address;
static char *request, *greeting;
static size_t request_size, greeting_size;
static struct connection *connections;
static unsigned used, opened, active;
static int want_status = 200;
static long want_length = -1;
static unsigned want_events;

static unsigned long answered, events, reconnects, faults[FAULTS], fault_total;
static uint64_t deadline, longest_gap;
static uint32_t *latencies;
static size_t latency_room;

/* -- connections ---------------------------------------------------------------------------------------------- */

static void shut(struct connection *c)
{
    if (c->state == CLOSED)
        return;
    struct linger none = {.l_onoff = 1}; /* a reset: thousands of ports are not left in TIME_WAIT */
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(c->fd);
    c->state = CLOSED;
    active--;
}

static void begin(struct connection *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        die("socket: %s", strerror(errno));
    set_option(c->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (is_stalling)
        set_option(c->fd, SOL_SOCKET, SO_RCVBUF, STALL_BUFFER);
    c->state = CONNECTING;
    c->sent = c->head_size = c->events = 0;
    c->greeted = !greeting;
    active++;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
    connect(c->fd, (struct sockaddr *)&address, sizeof address);
}

static void fault(struct connection *c, enum fault kind)
{
    faults[kind]++;
    shut(c);
    if (++fault_total >= MOST_ERRORS)
        deadline = 0;
}

static void watch_writes(struct connection *c, int on)
{
    struct epoll_event event = {.events = on ? EPOLLOUT : is_stalling && c->greeted ? 0 : EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void ask(struct connection *c)
{
    int was_waiting = c->state == CONNECTING || c->state == SENDING;
    if (c->sent == 0)
        c->began = now_ns();
    const char *bytes = c->greeted ? request : greeting;
    size_t size = c->greeted ? request_size : greeting_size;
    ssize_t sent = send(c->fd, bytes + c->sent, size - c->sent, 0);
    if (sent < 0 && errno != EAGAIN) {
        fault(c, EARLY_CLOSE);
        return;
    }
    c->sent += sent > 0 ? (size_t)sent : 0;
    int is_whole = c->sent == size;
    if (is_whole == was_waiting)
        watch_writes(c, !is_whole);
    c->state = is_whole ? HEAD : SENDING;
    c->body = c->line = c->matched = 0;
    if (is_whole && is_stalling && c->greeted)
        opened++;
}

static void again(struct connection *c)
{
    if (c->closes) {
        shut(c);
        reconnects++;
        begin(c);
        return;
    }
    c->sent = c->head_size = 0;
    ask(c);
}

/* -- answers -------------------------------------------------------------------------------------------------- */

static void note(uint64_t ns)
{
    if (answered == latency_room) {
        latency_room = latency_room ? 2 * latency_room : 1 << 16;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
        if (!latencies)
            die("out of memory");
    }
    latencies[answered] = (uint32_t)(ns / 10 > UINT32_MAX ? UINT32_MAX : ns / 10);
}

static void finished(struct connection *c)
{
    uint64_t now = now_ns();
    if (want_length >= 0 && c->body != (size_t)want_length) {
        fault(c, BAD_LENGTH);
    } else if (counts_events && (!c->events || (want_events != ANY && c->events != want_events))) {
        fault(c, BAD_EVENTS);
    } else {
        note(now - c->began);
        answered++;
        if (counts_events || now >= deadline)
            shut(c);
        else
            again(c);
    }
}

/* Counts lines that begin with "data:", wherever they are cut. */
static void count(struct connection *c, const char *bytes, size_t size)
{
    static const char wanted[] = "data:";
    for (size_t i = 0; i < size; i++) {
        char byte = bytes[i];
        if (byte == '\n') {
            c->line = c->matched = 0;
            continue;
        }
        if (c->line == c->matched && c->matched < 5 && byte == wanted[c->matched] && ++c->matched == 5) {
            uint64_t now = now_ns();
            if (c->events && now - c->at > longest_gap)
                longest_gap = now - c->at;
            c->at = now;
            opened += c->events++ == 0;
            events++;
        }
        c->line++;
    }
}

static int digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 32;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Body bytes. True: the answer is whole; what is left of `*size` comes after it. */
static int take(struct connection *c, const char **bytes, size_t *size)
{
    while (*size || (c->framing == SIZED && !c->left)) {
        if (c->framing == SIZED || c->framing == CHUNK_DATA) {
            size_t taken = *size < c->left ? *size : c->left;
            if (counts_events)
                count(c, *bytes, taken);
            c->body += taken;
            c->left -= taken;
            *bytes += taken;
            *size -= taken;
            if (c->left == 0 && c->framing == SIZED)
                return 1;
            if (c->left == 0)
                c->framing = CHUNK_END;
            continue;
        }
        char byte = *(*bytes)++;
        (*size)--;
        if (c->framing == CHUNK_SIZE && digit(byte) >= 0) {
            c->left = c->left * 16 + (size_t)digit(byte);
        } else if (byte == '\n' && c->framing == CHUNK_END) {
            c->framing = CHUNK_SIZE;
        } else if (byte == '\n' && c->framing == TRAILER) {
            if (c->head_size == 0)
                return 1;
            c->head_size = 0;
        } else if (byte == '\n') {
            c->framing = c->left ? CHUNK_DATA : TRAILER;
            c->head_size = 0; /* counts the bytes of a trailer line */
        } else if (c->framing == TRAILER) {
            c->head_size += byte != '\r';
        } else if (c->framing == CHUNK_SIZE) {
            c->framing = CHUNK_SKIP;
        }
    }
    return 0;
}

/* The head, once it is whole. False: it was no good. */
static int understand(struct connection *c, const char *head, size_t size)
{
    const char *length = field(head, size, "content-length:"), *coding = field(head, size, "transfer-encoding:");
    const char *connection = field(head, size, "connection:");
    if (size < 13 || memcmp(head, "HTTP/1.1 ", 9) != 0) {
        fault(c, BAD_HEAD);
        return 0;
    }
    if (atoi(head + 9) != want_status) {
        fault(c, BAD_STATUS);
        return 0;
    }
    c->closes = connection && strncasecmp(connection, "close", 5) == 0;
    c->left = length ? strtoul(length, NULL, 10) : 0;
    if (coding && strncasecmp(coding, "chunked", 7) == 0) {
        c->framing = CHUNK_SIZE;
        c->left = 0;
    } else if (length) {
        c->framing = SIZED;
    } else {
        fault(c, BAD_HEAD);
        return 0;
    }
    c->state = BODY;
    return 1;
}

/* Finds the end of the head, over as many reads as it takes; the bytes used, 0 for none yet, -1 for a fault. */
static ssize_t take_head(struct connection *c, const char *bytes, size_t size)
{
    const char *blank;
    if (c->head_size == 0 && (blank = memmem(bytes, size, "\r\n\r\n", 4)))
        return understand(c, bytes, (size_t)(blank + 4 - bytes)) ? blank + 4 - bytes : -1;
    if (c->head_size + size > MOST_HEAD) {
        fault(c, BAD_HEAD);
        return -1;
    }
    size_t before = c->head_size;
    if (!c->head)
        c->head = allocated(MOST_HEAD);
    memcpy(c->head + before, bytes, size);
    c->head_size += size;
    if (!(blank = memmem(c->head, c->head_size, "\r\n\r\n", 4)))
        return 0;
    size_t head = (size_t)(blank + 4 - c->head);
    c->head_size = 0;
    return understand(c, c->head, head) ? (ssize_t)(head - before) : -1;
}

/* The answer to the greeting, which is short and comes in one piece. */
static void greeted(struct connection *c, const char *bytes, size_t size)
{
    if (size < 16 || memcmp(bytes, "HTTP/1.1 200 ", 13) != 0 || memcmp(bytes + size - 4, "\r\n\r\n", 4) != 0) {
        fault(c, BAD_HEAD);
        return;
    }
    c->greeted = 1;
    c->sent = 0;
    ask(c);
}

static void readable(struct connection *c)
{
    static char buffer[READ_SIZE];
    ssize_t got = recv(c->fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        fault(c, EARLY_CLOSE);
        return;
    }
    const char *bytes = buffer;
    size_t size = (size_t)got;
    if (!c->greeted) {
        greeted(c, bytes, size);
        return;
    }
    if (c->state == HEAD) {
        ssize_t head = take_head(c, bytes, size);
        if (head <= 0)
            return;
        bytes += head;
        size -= (size_t)head;
    }
    if (c->state == BODY && take(c, &bytes, &size)) {
        if (size)
            fault(c, BAD_LENGTH);
        else
            finished(c);
    }
}

static void turn(void)
{
    struct epoll_event ready[512];
    int count = ready_events(epoll_fd, ready, 512);
    for (int i = 0; i < count; i++) {
        struct connection *c = ready[i].data.ptr;
        if (c->state == CONNECTING && (ready[i].events & (EPOLLERR | EPOLLHUP)))
            fault(c, NO_CONNECT);
        else if (c->state == CONNECTING || c->state == SENDING)
            ask(c);
        else if (c->state != CLOSED && is_stalling && (ready[i].events & (EPOLLERR | EPOLLHUP)))
            fault(c, EARLY_CLOSE);
        else if (c->state != CLOSED)
            readable(c);
        if (c->state == CLOSED && !counts_events && now_ns() < deadline)
            begin(c); /* a closed loop goes on after a fault */
    }
}

/* -- modes ---------------------------------------------------------------------------------------------------- */

static void print_faults(void)
{
    const char *comma = "";
    printf("\"errors\": %lu, \"faults\": {", fault_total);
    for (int i = 0; i < FAULTS; i++)
        if (faults[i]) {
            printf("%s\"%s\": %lu", comma, fault_names[i], faults[i]);
            comma = ", ";
        }
    printf("}}\n");
    fflush(stdout);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile(double share)
{
    return answered ? latencies[(size_t)(share * (double)(answered - 1))] / 100.0 : 0;
}

static void run(unsigned count, double seconds)
{
    uint64_t start = now_ns(), limit = (uint64_t)(seconds * 1e9);
    /* Streams have the time to end; a closed loop asks no more after it, and waits for what is under way. */
    deadline = start + limit;
    connections = allocated(count * sizeof *connections);
    for (used = 0; used < count; used++)
        begin(&connections[used]);
    uint64_t last = counts_events ? deadline : deadline + PATIENCE_MS * 1000000ull;
    while (active && now_ns() < last)
        turn();
    for (unsigned i = 0; i < used; i++)
        if (connections[i].state != CLOSED)
            fault(&connections[i], LATE);
    double took = (double)(now_ns() - start) / 1e9;
    qsort(latencies, answered, sizeof *latencies, by_size);
    printf("{\"answered\": %lu, \"events\": %lu, \"reconnects\": %lu, \"seconds\": %.6f, \"p50_us\": %.2f, "
           "\"p99_us\": %.2f, \"longest_gap_us\": %.1f, ",
           answered, events, reconnects, took, percentile(0.50), percentile(0.99), (double)longest_gap / 1e3);
    print_faults();
}

/* Opens until `count` are open and have had their first event, a few at a time. */
static void open_until(unsigned count)
{
    uint64_t last = now_ns() + PATIENCE_MS * 1000000ull;
    while (opened < count && !fault_total) {
        while (used < count && used - opened < RAMP)
            begin(&connections[used++]);
        unsigned before = opened;
        turn();
        if (opened > before)
            last = now_ns() + PATIENCE_MS * 1000000ull;
        if (now_ns() > last)
            fault(&connections[used - 1], LATE);
    }
}

static void hold(void)
{
    char line[64];
    connections = allocated(65536 * sizeof *connections);
    deadline = 0;
    counts_events = 1;
    want_events = ANY;
    for (;;) {
        struct pollfd waiting[] = {{.fd = 0, .events = POLLIN}, {.fd = epoll_fd, .events = POLLIN}};
        poll(waiting, 2, -1);
        if (waiting[1].revents)
            turn();
        if (!waiting[0].revents)
            continue;
        unsigned count = 0, fed = 0;
        if (!fgets(line, sizeof line, stdin))
            exit(0);
        if (sscanf(line, "stall %u", &count) == 1)
            is_stalling = 1;
        if ((count || sscanf(line, "open %u", &count) == 1) && count < 65536)
            open_until(count);
        for (unsigned i = 0; i < used; i++) {
            int bytes = 0;
            if (connections[i].state != CLOSED && ioctl(connections[i].fd, FIONREAD, &bytes) == 0 && bytes)
                fed++;
        }
        printf("{\"open\": %u, \"unread\": %u, ", active, fed);
        print_faults();
        if (!count)
            exit(0);
    }
}

static char *content(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *bytes = allocated(1 << 20);
    if (!file || (*size = fread(bytes, 1, 1 << 20, file)) == 0)
        die("%s: cannot be read", path);
    fclose(file);
    return bytes;
}

int main(int count, char **arguments)
{
    prepare_process();
    if (count > 2 && strcmp(arguments[1], "-g") == 0) {
        greeting = content(arguments[2], &greeting_size);
        count -= 2;
        arguments += 2;
    }
    if (count < 4)
        die("usage: load closed|events|hold PORT REQUEST ...");
    epoll_fd = epoll_create1(0);
    address = loopback(arguments[2]);
    request = content(arguments[3], &request_size);
    if (strcmp(arguments[1], "closed") == 0 && count == 8) {
        want_status = atoi(arguments[6]);
        want_length = atol(arguments[7]);
        run((unsigned)atoi(arguments[4]), atof(arguments[5]));
    } else if (strcmp(arguments[1], "events") == 0 && count == 7) {
        counts_events = 1;
        want_events = (unsigned)atoi(arguments[5]);
        run((unsigned)atoi(arguments[4]), atof(arguments[6]));
    } else if (strcmp(arguments[1], "hold") == 0) {
        hold();
    } else {
        die("load: unknown mode, or not its number of arguments");
    }
    return 0;
}
