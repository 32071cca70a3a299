import subprocess, sys, os
for what in (lambda: subprocess.run([sys.executable, '-c', '1']), lambda: os.system('true') and None):
    try:
        what()
    except OSError:
        pass
print('a program that may not start others goes on')
