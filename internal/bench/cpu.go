package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// info returns one number of a section of INFO.
func info(ctx context.Context, client *redis.Client, section, name string) (float64, error) {
	text, err := client.Info(ctx, section).Result()
	if err != nil {
		return 0, err
	}
	value, ok := infoField(text, name)
	if !ok {
		return 0, fmt.Errorf("INFO %s has no %s", section, name)
	}
	return strconv.ParseFloat(value, 64)
}

func infoField(text, name string) (string, bool) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// cpu is the processor time that Redis has used so far.
func cpu(ctx context.Context, client *redis.Client) (time.Duration, error) {
	text, err := client.Info(ctx, "cpu").Result()
	if err != nil {
		return 0, err
	}
	var seconds float64
	for _, name := range []string{"used_cpu_user", "used_cpu_sys"} {
		value, ok := infoField(text, name)
		if !ok {
			return 0, fmt.Errorf("INFO cpu has no %s", name)
		}
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, err
		}
		seconds += f
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// usedMemory is what Redis has allocated, in bytes.
func usedMemory(ctx context.Context, client *redis.Client) (float64, error) {
	return info(ctx, client, "memory", "used_memory")
}

// calls is how often a command ran so far, in scripts too.
func calls(ctx context.Context, client *redis.Client, command string) (float64, error) {
	text, err := client.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	stat, ok := infoField(text, "cmdstat_"+command)
	if !ok {
		return 0, nil
	}
	value, _, _ := strings.Cut(strings.TrimPrefix(stat, "calls="), ",")
	return strconv.ParseFloat(value, 64)
}
