import sys
print('three', flush=True)
sys.exit(3)
