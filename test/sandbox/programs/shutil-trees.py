import os, shutil
os.makedirs('a/b/c')
for name in ('a/1.txt', 'a/b/2.txt', 'a/b/c/3.txt'):
    with open(name, 'w') as file: file.write(name)
shutil.copytree('a', 'z')
shutil.copy2('a/1.txt', 'copy.txt'); shutil.move('copy.txt', 'moved.txt')
print(sorted(os.path.join(d, f) for d, _, fs in os.walk('z') for f in fs), open('moved.txt').read())
shutil.rmtree('a')
print(sorted(os.listdir('.')), shutil.disk_usage('.').total > 0)
