import logging, sys, warnings
logging.basicConfig(level=logging.INFO, format='%(levelname)s %(message)s', stream=sys.stdout)
logging.info('told'); logging.debug('not told')
warnings.simplefilter('always'); warnings.showwarning = lambda m, *a, **k: print('warning:', m)
warnings.warn('careful')
print('to standard error', file=sys.stderr)
sys.stdout.write('no newline at the end')
