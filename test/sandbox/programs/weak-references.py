import gc, weakref
class Node: pass
node = Node(); ref = weakref.ref(node)
store = weakref.WeakValueDictionary(key=node)
print(ref() is node, len(store))
del node
print(ref(), len(store))
a, b = Node(), Node(); a.b, b.a = b, a
weakref.finalize(a, print, 'collected'); del a, b
print(gc.collect() >= 2)
