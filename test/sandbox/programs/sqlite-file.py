# needs: __import__('sqlite3')
import os, sqlite3
with sqlite3.connect('data.db') as db:
    db.execute('create table t (n integer)')
    db.executemany('insert into t values (?)', [(i,) for i in range(1000)])
db.close()
again = sqlite3.connect('data.db')
print(again.execute('select count(*), sum(n) from t').fetchone(), os.path.getsize('data.db') > 4096)
again.execute('update t set n = n + 1'); again.rollback()
print(again.execute('select max(n) from t').fetchone())
again.close()
