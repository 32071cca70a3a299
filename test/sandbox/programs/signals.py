import signal, time
class Late(Exception): pass
def alarm(number, frame): raise Late(signal.Signals(number).name)
signal.signal(signal.SIGALRM, alarm)
signal.setitimer(signal.ITIMER_REAL, .05)
try:
    while True: time.sleep(1)
except Late as error:
    print('stopped by', error)
signal.alarm(1); print(signal.alarm(0))
import os
signal.signal(signal.SIGUSR1, lambda *_: print('got it')); os.kill(os.getpid(), signal.SIGUSR1)
signal.raise_signal(signal.SIGUSR1)
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)
except KeyboardInterrupt:
    print('interrupted')
