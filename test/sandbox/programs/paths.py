from pathlib import Path, PurePosixPath
folder = Path('data') / 'sub'
folder.mkdir(parents=True)
(folder / 'a.txt').write_text('one\ntwo\n')
(folder / 'b.bin').write_bytes(bytes(10))
print(sorted(p.as_posix() for p in Path('.').rglob('*')), (folder / 'a.txt').stat().st_size)
print(PurePosixPath('/x/y.tar.gz').suffixes, Path('a.txt').with_suffix('.md'), (folder / 'c').exists())
(folder / 'a.txt').rename(folder / 'c'); print([p.name for p in sorted(folder.iterdir())])
