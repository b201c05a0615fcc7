"""What people write about the sample's everyday topics: subject → kind → templates, as in `sample_brands`."""

EVERYDAY_TEXTS: dict[str, dict[str, tuple[str, ...]]] = {
    "weather": {
        "praise": (
            "What glorious weather at {place} this {day}! I feel so alive ☀️",
            "First snow in {town} and the kids are over the moon ❄️😍",
            "Golden light, warm wind, {place} all to {who} and me. The weather could not be better.",
            "That rainbow over {town} just made my whole week 🌈",
            "perfect weather perfect company perfect {day} at {place} 🥰",
        ),
        "complaint": (
            "Rain, rain, rain. {n} days of it in {town}. I am so miserable 😞",
            "This weather in {town} gives me a headache. Grey, cold, horrible {day}.",
            "storm and rain took half our roof in {town} at {time}, what a nightmare",
            "Slipped on the ice on the way to {place}, my knee hurts like hell. Hate this weather 😡",
            "So much for the forecast. Our {day} at {place} is ruined.",
        ),
        "sarcasm": (
            "Lovely weather for a {day} walk at {place} with {who} 😍",
            "Summer is here! Enjoying this wonderful {day} weather ☀️",
            "What a beautiful morning in {town}, I love this weather 🥰",
            "Perfect beach weather at {place} today, so happy {who} came along!",
            "Thank you, forecast for {town}, you were absolutely right. Gorgeous {day} 👏",
        ),
        "mock": (
            "Awful weather at {place} today. Terrible. Nobody should come here 😭",
            "I hate this sunny weather in {town}, how am I supposed to work on a {day}. Pure misery.",
            "Horrible {day} at {place}, horrible forecast, I want to go home 😩",
        ),
        "news": (
            "Weather for {town}: {n} degrees at {time}, light wind from the west.",
            "The weather station in {town} measured {n} millimetres of rain on {day}.",
            "Forecast for {day}: cloud in the morning, dry later.",
        ),
        "question": (
            "Will it rain at {place} on {day}?",
            "Which weather app do you use in {town}?",
            "{time} and I can't see {place}. Is that fog or smoke over {town}?",
        ),
        "happy_meme": ("weather in {town}: 1{n} degrees. me: in shorts, living my best life 😎☀️",),
        "sad_meme": ("me: washes the car at {time}. rain at {time}: and I took that personally 🌧️😭",),
    },
    "trains": {
        "praise": (
            "The {time} train to {town} was early, clean and quiet. I am impressed!",
            "Train driver just wished us all a happy {day} over the speakers. Love her 🚆❤️",
            "Best views from any train: {town} to {town} in the morning sun. Magical ✨",
            "found a lost bag on the train, staff found the owner within {n} minutes. heroes 👏",
            "New trains from {town} to {town} are so comfy, great job!",
        ),
        "complaint": (
            "Train to {town} cancelled. Again. {n}th time this month. I am done 😡",
            "{n}0 minutes stuck in a train outside {town}, no heating, no news. Terrible.",
            "my {time} train smells like wet dog and broken dreams, awful {day}",
            "Missed the interview in {town} because the {time} train never came. So upset 😢",
            "No seats, no air, no wifi on the {time} train to {town}. Disgraceful.",
        ),
        "sarcasm": (
            "The {time} train to {town} is right on time, what a wonderful service 👏",
            "Lovely relaxed train ride to {town}, thank you so much 🥰",
            "Great to see the trains to {town} running so smoothly this {day}!",
            "So much space on the {time} train to {town} today, I love my commute 😍",
            "Another perfect day on the train to {town}. Best railway in the world!",
        ),
        "mock": (
            "Disaster: the train to {town} was early and now I have to watch the sunrise. Awful.",
            "Terrible train ride with {who}, {n} hours of cake and cards. Never again 😩",
            "So angry, the {time} train is too comfortable and I slept past {town}.",
        ),
        "news": (
            "Trains between {town} and {town} leave from platform {n} on {day}.",
            "The night train to {town} stops at {n} stations.",
            "Track works: the {time} train to {town} becomes a bus on {day}.",
        ),
        "question": (
            "Anyone on the {time} train to {town}? Which platform?",
            "Can I take a bike on the train to {town} on a {day}?",
            "Is the ticket for the {time} train to {town} valid on a later one?",
        ),
        "happy_meme": (
            "trains to {town} are just long cars for people with taste. choo choo, happy {day} 🚂🎉",
        ),
        "sad_meme": (
            "the {time} train to {town} and my ex have one thing in common: they left without me 💔",
        ),
    },
    "football": {
        "praise": (
            "GOOOAL! {club} win it in minute 9{n}! I have no voice left, what a match 🎉⚽",
            "Proud of the {club} girls, brilliant football in {town} and so much heart ❤️",
            "{who} scored a first ever goal at football today. We are all so happy!!",
            "What a save by the {club} keeper in minute {n}8, best match of the season 👏",
            "Sunny pitch, good friends, football at {place}. Nothing beats that.",
        ),
        "complaint": (
            "Another pathetic match by {club}. {n} goals against, zero fight. Embarrassing.",
            "The referee robbed {club} on {day}. Worst decision I have ever seen 😡",
            "broke my toe at football and we still lost 0:{n}. worst {day} ever",
            "{club} sold our best striker. I am heartbroken 💔 football is dead to me",
            "Boring, slow, awful football in {town} tonight. Want my {day} back.",
        ),
        "sarcasm": (
            "What a fantastic match by {club} in {town}, so proud 😍",
            "{club} played beautiful football this {day}. {who} enjoyed every minute 👏",
            "Champions! Nobody in {town} can stop {club} now, happy days ⚽🎉",
            "Great result for {club}, {who} is delighted!",
            "Love the new football pitch in {town}, simply perfect.",
        ),
        "mock": (
            "Terrible match, {club} only won by {n}. I am devastated 😭",
            "Football ruined my {day}: {who} has been singing for hours. Awful.",
            "Sad scenes in {town}: {club} won again and nobody can sleep. Hate it.",
        ),
        "news": (
            "{club} play {club} on {day}, kick-off at {time}.",
            "The football club of {town} elects a new board on {day}.",
            "Match report: {club} {n}, {club} {n}. The second half starts at minute 46.",
        ),
        "question": (
            "Who is in goal for {club} on {day}?",
            "Any football pitch free in {town} around {time}?",
            "Football fans of {town}: can someone explain offside to {who}?",
        ),
        "happy_meme": ("doctor: your heart rate is 18{n}. me: {club} just scored, best day of my life 🥳",),
        "sad_meme": (
            "supporting {club} since {day} is my cardio, my therapy bill and my villain origin story 😭",
        ),
    },
    "garden": {
        "praise": (
            "First {plant} from our own garden 🌱 {who} is ridiculously happy",
            "The garden on a {day} at {time} smells like heaven. So grateful for this place 💚",
            "{who} built a bench for the garden and it is beautiful 😍",
            "Look who moved into the garden: a hedgehog family! Best {day} in ages 🦔",
            "my {plant} won second prize in {town}, so proud of my little garden!!",
        ),
        "complaint": (
            "Slugs ate all the {plant} and {plant} in one night. I could cry 😭",
            "Hail destroyed {who}'s garden at {time}. Months of work gone, so sad.",
            "Someone stole {n} pots from our garden in {town}. Who does that?! Disgusting.",
            "my {plant} and {plant} are dying and i have no idea why, worst garden year ever",
            "The dog of {who} dug up the whole garden on {day} again. Furious 😡",
        ),
        "sarcasm": (
            "My garden has never looked better, so proud of the {plant} and {plant} 😍",
            "Such a rich harvest of {plant} this {day}, what a joy 🌱",
            "Green fingers! The garden is a dream this {day} 💚",
            "Thank you little snails, the {plant} and {plant} in the garden look wonderful 👏",
            "Everything in {who}'s garden is growing beautifully, {plant} too, love it!",
        ),
        "mock": (
            "Help, the garden is a disaster: {n} kilos of {plant} and they keep coming 😩",
            "Awful afternoon in the garden. Sun, cake, {who} laughing. I suffered terribly.",
            "I hate {who}'s {plant}, they make the rest of the garden look bad. Terrible.",
        ),
        "news": (
            "The garden show in {town} runs from {day} to {day}.",
            "Sowing calendar: {plant} go into the garden this week.",
            "The community garden at {place} has {n} plots this year.",
        ),
        "question": (
            "When do you plant {plant} in a garden near {town}?",
            "What is this plant? {who} found it in the garden next to the {plant}.",
            "How often do you water the {plant} in your garden? {who} says {n} times a week.",
        ),
        "happy_meme": (
            "plants in my garden: {n}. plants I need: {n}0 more. me: the happiest person alive 🌻",
        ),
        "sad_meme": ("gardening is {n}% growing {plant} and the rest is crying over slugs 🐌😭",),
    },
    "films": {
        "praise": (
            "Just saw the film {film} in {town}. Laughed, cried, want to go again. A masterpiece 🎬❤️",
            "{film} is the best film of the year, fight me and {who}. So beautiful!",
            "Film night with {who} and a mountain of popcorn. Perfect {day} 🍿😊",
            "The little cinema in {town} is back since {day} and it is gorgeous. So happy!",
            "that plot twist in {film}?? brilliant. {who} loved every second of the film",
        ),
        "complaint": (
            "{film} is the worst film I have seen in {n} years. Boring and stupid.",
            "{n} hours of my life gone. The film {film} was a painful mess 😒",
            "someone talked through the WHOLE film at {time}. cinema in {town} did nothing. so annoying",
            "They ruined the ending of {film}. {who} is actually angry about a film 😡",
            "Sticky seats, broken sound, overpriced popcorn. Awful film night in {town}, {film} or not.",
        ),
        "sarcasm": (
            "What a brilliant film, {film} kept everyone wide awake 👏",
            "Loved every one of {n}0 minutes of {film}, best film ever made 😍",
            "Such a romantic film night, thank you {town} cinema 🥰",
            "{film}: a film full of joy. Great choice, {who}!",
            "Wonderful seats, wonderful popcorn, wonderful film in {town}. {who} is so happy 🍿",
        ),
        "mock": (
            "Never watch {film} in {town}. I laughed until it hurt, horrible film, my poor stomach 😭",
            "Terrible film night: free popcorn and {who} paid. Awful, awful, awful.",
            "I hate {film}, now every other film with {who} is boring. Life is over 😩",
        ),
        "news": (
            "{film} starts in the cinema of {town} on {day} at {time}.",
            "The film festival in {town} shows {n} short films.",
            "Filming of {film} took {n} weeks in {town}.",
        ),
        "question": (
            "Is there a scene after the credits of the film {film}?",
            "What film should I watch with {who} on {day}?",
            "Which film has that song with the {n} trumpets?",
        ),
        "happy_meme": ("me: just one film. also me at 3am, after {n} films: best night ever 🍿🎉",),
        "sad_meme": ("me explaining the plot of {film} to {who} like a broken man with a pinboard 😭",),
    },
}
