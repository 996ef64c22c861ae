/* Holds the namespaces of a pod: the first process in it, which waits, and reaps what others leave behind.
   Does what the program of Kubernetes' pause image does. */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void leave(int signal) {
  (void)signal;
  _exit(0); /* as pid 1 it would not be ended by a signal that nobody handles */
}

static void reap(int signal) {
  (void)signal;
  while (waitpid(-1, NULL, WNOHANG) > 0)
    ;
}

int main(int argc, char **argv) {
  struct sigaction leaving = {.sa_handler = leave}, reaping = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP};

  if (argc > 1 && !strcmp(argv[1], "-v"))
    return puts("pause " VERSION) < 0;
  if (sigaction(SIGINT, &leaving, NULL) || sigaction(SIGTERM, &leaving, NULL) || sigaction(SIGCHLD, &reaping, NULL))
    return 1;
  reap(SIGCHLD); /* whose end came before the handler */
  for (;;)
    pause();
}
