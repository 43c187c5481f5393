-- uses: version session
-- Replaces the pending images.
-- KEYS  keys.of_session
-- ARGV  epoch or '' for any, ttl ms, quota in bytes, quota in images, references, then id and content of each image
-- Result: 'OK' | 'GONE' | 'QUOTA'
-- Atomic: what is pending, what is stored and the quota must agree. Where room is short, images that only history
-- holds go, oldest turn first; what is pending or being answered never does.
if not opened(ARGV[1]) then return 'GONE' end
local quota_bytes, quota_count = tonumber(ARGV[3]), tonumber(ARGV[4])

local sizes, bytes, count = {}, 0, 0
local function count_in(id, size)
  if not sizes[id] then
    sizes[id] = size
    bytes = bytes + size
    count = count + 1
  end
end

local kept = {}
add_ids(kept, redis.call('HGET', KEYS[SESSION], 'running_images'))
for id in pairs(kept) do count_in(id, redis.call('HSTRLEN', KEYS[IMAGES], id)) end
for i = 6, #ARGV, 2 do
  kept[ARGV[i]] = true
  count_in(ARGV[i], #ARGV[i + 1])
end
if bytes > quota_bytes or count > quota_count then return 'QUOTA' end

if ARGV[5] == '' then
  redis.call('HDEL', KEYS[SESSION], 'images')
else
  redis.call('HSET', KEYS[SESSION], 'images', ARGV[5])
end
local history = collect_images()

-- What history holds beside these: from the newest back, it stays as long as there is room.
local aged, room = {}, true
for _, entry in ipairs(history) do
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'images' then
      for id in string.gmatch(entry[2][i + 1], '(%x+):%S+') do aged[#aged + 1] = id end
    end
  end
end
for i = #aged, 1, -1 do
  local id = aged[i]
  if not sizes[id] then
    local size = redis.call('HSTRLEN', KEYS[IMAGES], id)
    room = room and bytes + size <= quota_bytes and count + 1 <= quota_count
    if not room then
      redis.call('HDEL', KEYS[IMAGES], id)
    elseif size > 0 then
      count_in(id, size)
    end
  end
end

for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[IMAGES], ARGV[i], ARGV[i + 1]) end
touch(ARGV[2])
return 'OK'
