/* A C node with libei. Each line on standard input is a command:
 *   calls MILLISECONDS   bench:echo(1) by ei_rpc, one after another; prints CALLS MICROSECONDS
 *   sends COUNT          ei_reg_send of {bench, 42} to sink; prints COUNT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <netinet/in.h>
#include <ei.h>

static long long micros(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void fail(const char *what) {
    fprintf(stderr, "%s failed, erl_errno %d\n", what, erl_errno);
    exit(1);
}

int main(int argc, char **argv) {
    ei_cnode ec;
    struct in_addr address;
    char full[300], line[100];
    int fd;
    if (argc != 4) return 2; /* alive name, peer, cookie; ERL_EPMD_PORT */
    ei_init();
    address.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(full, sizeof full, "%s@127.0.0.1", argv[1]);
    if (ei_connect_xinit(&ec, "127.0.0.1", argv[1], full, &address, argv[3], 7) < 0) fail("ei_connect_xinit");
    if ((fd = ei_connect(&ec, argv[2])) < 0) fail("ei_connect");
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        long amount = 0;
        if (sscanf(line, "calls %ld", &amount) == 1) {
            long calls = 0;
            long long start = micros(), end = start + amount * 1000LL, now;
            do {
                ei_x_buff args, result;
                ei_x_new(&args);
                ei_x_new(&result);
                ei_x_encode_list_header(&args, 1);
                ei_x_encode_long(&args, 1);
                ei_x_encode_empty_list(&args);
                if (ei_rpc(&ec, fd, "bench", "echo", args.buff, args.index, &result) < 0) fail("ei_rpc");
                ei_x_free(&args);
                ei_x_free(&result);
                calls++;
                now = micros();
            } while (now < end);
            printf("%ld %lld\n", calls, now - start);
        } else if (sscanf(line, "sends %ld", &amount) == 1) {
            for (long i = 0; i < amount; i++) {
                ei_x_buff message;
                ei_x_new_with_version(&message);
                ei_x_encode_tuple_header(&message, 2);
                ei_x_encode_atom(&message, "bench");
                ei_x_encode_long(&message, 42);
                if (ei_reg_send(&ec, fd, "sink", message.buff, message.index) < 0) fail("ei_reg_send");
                ei_x_free(&message);
            }
            printf("%ld 0\n", amount);
        }
        fflush(stdout);
    }
    return 0;
}
