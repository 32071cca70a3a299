import asyncio
async def work(name, delay):
    await asyncio.sleep(delay)
    return name
async def main():
    print(await asyncio.gather(work('a', .03), work('b', .01), work('c', .02)))
    try:
        await asyncio.wait_for(asyncio.sleep(5), .02)
    except asyncio.TimeoutError:
        print('timed out')
    lines = asyncio.Queue()
    async def produce():
        for i in range(3): await lines.put(i)
        await lines.put(None)
    task = asyncio.ensure_future(produce())
    while True:
        item = await lines.get()
        if item is None: break
        print('got', item)
    await task
    print(await asyncio.get_running_loop().run_in_executor(None, sum, [1, 2, 3]))
asyncio.run(main())
