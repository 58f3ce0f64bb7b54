package cronjob

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
)

// tooMany is how many missed start times are worth a warning.
const tooMany = 100

// schedule returns a CronJob's parsed schedule in its time zone: spec.timeZone, or one written into the schedule itself,
// or the process's own.
func schedule(c *batchv1.CronJob) (cron.Schedule, error) {
	if c.Spec.TimeZone != nil && !strings.Contains(c.Spec.Schedule, "TZ") {
		return cron.ParseStandard("TZ=" + *c.Spec.TimeZone + " " + c.Spec.Schedule)
	}
	return cron.ParseStandard(c.Spec.Schedule)
}

// zone returns the time zone that spec.timeZone names; an error if there is no such zone.
func zone(c *batchv1.CronJob) (*time.Location, error) {
	if c.Spec.TimeZone == nil {
		return time.Local, nil
	}
	return time.LoadLocation(*c.Spec.TimeZone)
}

// due returns the most recent time at which a Job should have started, at or before now; zero if there is none since the last one (or
// since the CronJob was made). Times further back than startingDeadlineSeconds do not count. missed is how
// many times have passed unused, counted up to one more than tooMany.
func due(c *batchv1.CronJob, times cron.Schedule, now time.Time) (last time.Time, missed int, err error) {
	since := c.CreationTimestamp.Time
	if c.Status.LastScheduleTime != nil {
		since = c.Status.LastScheduleTime.Time
	}
	if c.Spec.StartingDeadlineSeconds != nil {
		if oldest := now.Add(-time.Duration(*c.Spec.StartingDeadlineSeconds) * time.Second); oldest.After(since) {
			since = oldest
		}
	}
	first := times.Next(since)
	if first.IsZero() || first.After(now) {
		return time.Time{}, 0, nil // never again, or not yet
	}
	if second := times.Next(first); !second.IsZero() && second.Sub(first) < time.Second {
		return time.Time{}, 0, fmt.Errorf("time difference between two schedules is less than 1 second")
	}
	for t := first; !t.IsZero() && !t.After(now) && missed <= tooMany; t = times.Next(t) {
		missed++
	}
	return latest(times, first, now), missed, nil
}

// latest returns the last time of a schedule at or before now, given that first is one. It looks back in growing steps, so
// that years of downtime cost no more than minutes.
func latest(times cron.Schedule, first, now time.Time) time.Time {
	for _, back := range []time.Duration{time.Hour, 24 * time.Hour, 31 * 24 * time.Hour, 366 * 24 * time.Hour} {
		start := now.Add(-back)
		if start.Before(first) {
			break
		}
		if t := times.Next(start); !t.IsZero() && !t.After(now) {
			return lastFrom(times, t, now)
		}
	}
	return lastFrom(times, first, now)
}

func lastFrom(times cron.Schedule, t, now time.Time) time.Time {
	for next := times.Next(t); !next.IsZero() && !next.After(now); next = times.Next(next) {
		t = next
	}
	return t
}
