# needs: __import__('sqlite3')
import sqlite3
db = sqlite3.connect(':memory:')
db.execute('create table t (id integer primary key, name text, score real)')
db.executemany('insert into t (name, score) values (?, ?)', [('a', 1.5), ('b', 2.5), ('a', 4.0)])
print(db.execute('select name, sum(score), count(*) from t group by name order by name').fetchall())
try:
    db.execute('insert into t (id) values (1)')
except sqlite3.IntegrityError as error:
    print(error)
db.create_function('twice', 1, lambda x: 2 * x)
print(db.execute('select twice(score) from t where id = 3').fetchone())
