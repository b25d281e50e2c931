-- enlist: corrects the registries of rooms, and of empty ones, for one room.
--
-- KEYS[1] the room's hash   KEYS[2] its users   KEYS[3] rooms   KEYS[4] empty
-- ARGV[1] its name
--
-- Returns 1.

enlist(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1])
return 1
